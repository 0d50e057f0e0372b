package topic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
)

// Admin looks at the topics of a cluster and makes them. It is safe for concurrent use.
type Admin struct {
	client *kgo.Client
	adm    *kadm.Client
}

// Open makes a client; the options say where the cluster is. Nothing is connected yet.
func Open(opts ...kgo.Opt) (*Admin, error) {
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("open the topics: %w", err)
	}
	return &Admin{client: cl, adm: kadm.NewClient(cl)}, nil
}

// Close gives the connections back.
func (a *Admin) Close() { a.client.Close() }

// List is every topic of the cluster that has a name of ours, by name, with all settings in
// effect.
func (a *Admin) List(ctx context.Context) ([]Topic, error) {
	resp, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, a.client) // not what the client remembers
	if err != nil {
		return nil, failed("cannot list the topics", err)
	}
	var list []Topic
	var names []string
	for _, t := range resp.Topics {
		if t.Topic == nil || t.IsInternal {
			continue
		}
		if _, err := Parse(*t.Topic); err != nil {
			continue
		}
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, failed("cannot look at topic "+*t.Topic, err)
		}
		is := Topic{Name: *t.Topic, Partitions: len(t.Partitions), Settings: map[string]string{}}
		for _, p := range t.Partitions {
			is.Replication = max(is.Replication, len(p.Replicas))
		}
		list, names = append(list, is), append(names, is.Name)
	}
	configs, err := a.adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, failed("cannot read the settings of the topics", err)
	}
	for i := range list {
		c, err := configs.On(list[i].Name, nil)
		if err = errors.Join(err, c.Err); err != nil {
			return nil, failed("cannot read the settings of topic "+list[i].Name, err)
		}
		for _, kv := range c.Configs {
			list[i].Settings[kv.Key] = kv.MaybeValue()
		}
	}
	slices.SortFunc(list, func(a, b Topic) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Span is what a topic holds.
type Span struct {
	Offsets int64 // records and the marks of transactions between the first and the last offset
	Newest  int64 // greatest record time, µs; market.NoTime when it is empty
}

// Spans says what topics hold, in their order.
func (a *Admin) Spans(ctx context.Context, topics []Topic) ([]Span, error) {
	var names []string
	for _, t := range topics {
		names = append(names, t.Name)
	}
	if names == nil {
		return nil, nil
	}
	var lists [3]kadm.ListedOffsets
	for i, list := range []func(context.Context, ...string) (kadm.ListedOffsets, error){a.adm.ListStartOffsets, a.adm.ListEndOffsets, a.adm.ListMaxTimestampOffsets} {
		var err error
		if lists[i], err = list(ctx, names...); err == nil {
			err = lists[i].Error()
		}
		if err != nil {
			return nil, failed("cannot list the offsets of the topics", err)
		}
	}
	spans := make([]Span, len(names))
	for i, name := range names {
		spans[i].Newest = market.NoTime
		for p, end := range lists[1][name] {
			start, _ := lists[0].Lookup(name, p)
			spans[i].Offsets += end.Offset - start.Offset
			if t, ok := lists[2].Lookup(name, p); ok && t.Offset >= 0 && t.Timestamp >= 0 {
				spans[i].Newest = max(spans[i].Newest, t.Timestamp*market.Millisecond)
			}
		}
	}
	return spans, nil
}

// Apply makes the topics and settings of a plan. A plan with a refusal is not begun. Whatever
// fails or stays unknown is found by another plan: both can be done again.
func (a *Admin) Apply(ctx context.Context, p Plan) error { return a.apply(ctx, p, false) }

// Try asks the cluster whether it would take the plan, and changes nothing.
func (a *Admin) Try(ctx context.Context, p Plan) error { return a.apply(ctx, p, true) }

func (a *Admin) apply(ctx context.Context, p Plan, try bool) error {
	if err := p.Refused(); err != nil {
		return err
	}
	var parts []fault.Part
	note := func(topic string, code int16, text *string) {
		err := kerr.TypedErrorForCode(code)
		if err == nil {
			return
		}
		part := fault.Part{Where: topic, Message: strings.ToLower(strings.ReplaceAll(err.Message, "_", " ")), Remedy: remedyOf(err)}
		if text != nil && *text != "" {
			part.Message += ": " + *text
		}
		parts = append(parts, part)
	}
	create, alter := requests(p, try)
	if len(create.Topics) > 0 {
		resp, err := create.RequestWith(ctx, a.client)
		if err != nil {
			return failed("cannot make the topics", err)
		}
		for _, t := range resp.Topics {
			note(t.Topic, t.ErrorCode, t.ErrorMessage)
		}
	}
	if len(alter.Resources) > 0 {
		resp, err := alter.RequestWith(ctx, a.client)
		if err != nil {
			return failed("cannot change the settings of the topics", err)
		}
		for _, r := range resp.Resources {
			note(r.ResourceName, r.ErrorCode, r.ErrorMessage)
		}
	}
	if parts == nil {
		if try {
			return nil
		}
		return a.wait(ctx, create)
	}
	slices.SortFunc(parts, func(a, b fault.Part) int { return strings.Compare(a.Where, b.Where) })
	return &fault.Error{Code: "topic_failed", Message: "the cluster does not take some topics", Exit: fault.ExitFailed, Parts: parts}
}

// createTimeout is how long brokers may take to make topics.
const createTimeout = 30_000 // ms

// wait returns when the brokers know the topics that were made and every partition has a
// leader: who writes to them at once would be told that they are not there.
func (a *Admin) wait(ctx context.Context, made *kmsg.CreateTopicsRequest) error {
	if len(made.Topics) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, createTimeout*time.Millisecond)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	for _, t := range made.Topics {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = new(t.Topic)
		req.Topics = append(req.Topics, rt)
	}
	for {
		resp, err := req.RequestWith(ctx, a.client)
		if err == nil {
			err = ready(resp)
		}
		if err == nil {
			return nil
		}
		pause, cancel := context.WithTimeout(ctx, waitStep)
		<-pause.Done()
		cancel()
		if ctx.Err() != nil {
			return failed("the topics are made, but the brokers do not have them yet", err)
		}
	}
}

// waitStep is between two looks at topics that were made.
const waitStep = 50 * time.Millisecond

func ready(resp *kmsg.MetadataResponse) error {
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return err
		}
		for j := range t.Partitions {
			if err := kerr.ErrorForCode(t.Partitions[j].ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}

func requests(p Plan, try bool) (*kmsg.CreateTopicsRequest, *kmsg.IncrementalAlterConfigsRequest) {
	create, alter := kmsg.NewPtrCreateTopicsRequest(), kmsg.NewPtrIncrementalAlterConfigsRequest()
	create.TimeoutMillis, create.ValidateOnly, alter.ValidateOnly = createTimeout, try, try
	for _, s := range p {
		switch s.Action {
		case Create:
			t := kmsg.NewCreateTopicsRequestTopic()
			t.Topic, t.NumPartitions, t.ReplicationFactor = s.Topic.Name, int32(s.Topic.Partitions), -1
			if s.Topic.Replication > 0 {
				t.ReplicationFactor = int16(s.Topic.Replication)
			}
			for _, key := range slices.Sorted(maps.Keys(s.Topic.Settings)) {
				c := kmsg.NewCreateTopicsRequestTopicConfig()
				c.Name, c.Value = key, new(s.Topic.Settings[key])
				t.Configs = append(t.Configs, c)
			}
			create.Topics = append(create.Topics, t)
		case Alter:
			r := kmsg.NewIncrementalAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, s.Topic.Name
			for _, ch := range s.Changes {
				c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
				c.Name, c.Op, c.Value = ch.Key, kmsg.IncrementalAlterConfigOpSet, new(ch.To)
				r.Configs = append(r.Configs, c)
			}
			alter.Resources = append(alter.Resources, r)
		case Keep, Refuse, Leave:
		}
	}
	return create, alter
}

func remedyOf(err *kerr.Error) string {
	switch err {
	case kerr.TopicAlreadyExists:
		return "somebody else made it meanwhile: plan again"
	case kerr.InvalidReplicationFactor:
		return "set replication: to the number of brokers at most"
	case kerr.InvalidTopicException:
		return "another topic has a name that differs in . and _ alone: remove that one"
	case kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed:
		return "the user needs the rights Create, DescribeConfigs and AlterConfigs"
	}
	return ""
}

func failed(what string, err error) error {
	return &fault.Error{Code: "topic_failed", Message: what, Why: err.Error(), Exit: fault.ExitFailed, Cause: err,
		Remedy: "see that the brokers can be reached and the rights of the user; the same command again does what is left"}
}
