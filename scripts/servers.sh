#!/usr/bin/env bash
# The real servers of the tests: versitygw (S3), PostgreSQL, the Iceberg REST catalog, Kafka (one node, or three for tests that
# kill nodes), a schema registry (Apicurio); and the jars of Spark, Kafka Streams and Flink.
#
#   scripts/servers.sh install [NAME...]   install what is missing into .cache
#   scripts/servers.sh start [NAME...]     install, start what does not run, print the environment of the tests
#   scripts/servers.sh restart kafka       kill Kafka at once and start it again with its data, for tests of that
#   scripts/servers.sh restart kafka3      likewise one of the three nodes, each in its turn
#   scripts/servers.sh stop                stop all of them and forget their data
#
# NAME is s3, postgres, rest (with s3), spark, kafka, registry, kafka3, streams or flink; none: all of them but the last three. Idempotent. Everything listens on
# 127.0.0.1 at free ports; data and pid files are in .cache/servers.
# eval "$(scripts/servers.sh start)" sets the variables that the tests read.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=$PWD/.cache
run=$cache/servers
versitygw=v1.8.0
bucket=lake

say() { echo "servers: $*" >&2; }

free_port() { # [COUNT]: that many, in a line
	python3 -c 'import socket, sys
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(x.getsockname()[1] for x in s))' "${1:-1}"
}

# alive NAME WORD: the pid file's process runs and is the program that we started.
alive() {
	[ -f "$run/$1.pid" ] && tr '\0' ' ' <"/proc/$(cat "$run/$1.pid")/cmdline" 2>/dev/null | grep -q -- "$2"
}

wait_for() { # NAME COMMAND...
	local name=$1
	shift
	for _ in $(seq 300); do
		if "$@" >/dev/null 2>&1; then return; fi
		sleep 0.1
	done
	say "$name does not answer; its log:"
	tail -20 "$run/$name.log" >&2
	exit 1
}

fetch() { # URL: 0 when a server answers with success
	python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=2)' "$1"
}

jars() { # NAME
	if [ ! -f "$cache/$1/ready" ] || ! cmp -s "scripts/$1/pom.xml" "$cache/$1/ready"; then
		command -v mvn >/dev/null || apt_install maven openjdk-17-jre-headless
		say "fetching the jars of $1"
		rm -rf "$cache/$1"
		mkdir -p "$cache/$1"
		mvn -q -B -f "scripts/$1/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$cache/$1/jars" >&2
		cp "scripts/$1/pom.xml" "$cache/$1/ready"
	fi
}

apt_install() {
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		say "missing: $*; install them and start again"
		exit 1
	fi
	say "installing $*"
	(apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@") >/dev/null
}

pg_bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1; }

install() { # NAME
	mkdir -p "$run"
	case $1 in
	s3)
		if [ ! -x "$cache/bin/versitygw" ]; then
			say "building versitygw $versitygw"
			GOFLAGS='' GOBIN=$cache/bin CGO_ENABLED=0 go install "github.com/versity/versitygw/cmd/versitygw@$versitygw" >&2
		fi
		;;
	postgres) [ -n "$(pg_bin)" ] || apt_install postgresql ;;
	rest) jars iceberg-rest ;;
	spark | kafka | streams | flink) jars "$1" ;;
	registry)
		jars registry
		if [ ! -d "$cache/registry/app" ]; then
			mkdir -p "$cache/registry/new"
			tar -xzf "$cache"/registry/jars/*.tar.gz -C "$cache/registry/new"
			rm "$cache"/registry/jars/*.tar.gz
			mv "$cache/registry/new" "$cache/registry/app"
		fi
		;;
	kafka3) jars kafka ;;
	esac
}

start_s3() {
	if ! alive s3 versitygw; then
		mkdir -p "$run/s3/$bucket"
		free_port >"$run/s3.port"
		ROOT_ACCESS_KEY=tidemark ROOT_SECRET_KEY=tidemark-secret nohup "$cache/bin/versitygw" \
			--port "127.0.0.1:$(cat "$run/s3.port")" --health /health --quiet posix "$run/s3" >"$run/s3.log" 2>&1 </dev/null &
		echo $! >"$run/s3.pid"
	fi
	wait_for s3 fetch "http://127.0.0.1:$(cat "$run/s3.port")/health"
}

# as_pg runs a PostgreSQL program; its server refuses to run as root.
as_pg() {
	if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

start_postgres() {
	local bin data=/tmp/tidemark-postgres-$(id -u)-$(echo -n "$run" | cksum | cut -d' ' -f1)
	bin=$(pg_bin)
	if ! { [ -f "$run/postgres.port" ] && as_pg "$bin/pg_ctl" -D "$data" status >/dev/null 2>&1; }; then
		rm -rf "$data"
		mkdir -p "$data"
		if [ "$(id -u)" = 0 ]; then chown postgres "$data"; fi
		free_port >"$run/postgres.port"
		(cd / && as_pg "$bin/initdb" -D "$data" -A trust -U tidemark --no-sync && as_pg "$bin/pg_ctl" -D "$data" -l "$data/log" -w \
			-o "-p $(cat "$run/postgres.port") -c listen_addresses=127.0.0.1 -c unix_socket_directories=$data -c fsync=off" start) >"$run/postgres.log" 2>&1 </dev/null
		echo "$data" >"$run/postgres.data"
		"$bin/psql" -q -h 127.0.0.1 -p "$(cat "$run/postgres.port")" -U tidemark -d postgres -c 'create database lake' >&2
	fi
}

start_rest() {
	install s3
	start_s3
	if ! alive rest RESTCatalogServer; then
		free_port >"$run/rest.port"
		env CATALOG_CATALOG__IMPL=org.apache.iceberg.jdbc.JdbcCatalog CATALOG_URI="jdbc:sqlite:$run/rest.db" CATALOG_JDBC_USER=x CATALOG_JDBC_PASSWORD=x \
			CATALOG_JDBC_SCHEMA__VERSION=V1 CATALOG_WAREHOUSE="s3://$bucket/rest" CATALOG_IO__IMPL=org.apache.iceberg.aws.s3.S3FileIO \
			CATALOG_S3_ENDPOINT="http://127.0.0.1:$(cat "$run/s3.port")" CATALOG_S3_PATH__STYLE__ACCESS=true \
			CATALOG_S3_ACCESS__KEY__ID=tidemark CATALOG_S3_SECRET__ACCESS__KEY=tidemark-secret CATALOG_CLIENT_REGION=us-east-1 \
			AWS_REGION=us-east-1 CATALOG_REST_PORT="$(cat "$run/rest.port")" \
			nohup java -Xmx256m -cp "$cache/iceberg-rest/jars/*" org.apache.iceberg.rest.RESTCatalogServer >"$run/rest.log" 2>&1 </dev/null &
		echo $! >"$run/rest.pid"
	fi
	wait_for rest fetch "http://127.0.0.1:$(cat "$run/rest.port")/v1/config"
}

start_registry() {
	if ! alive registry apicurio-registry; then
		free_port >"$run/registry.port"
		nohup java -Xmx256m -Dquarkus.http.host=127.0.0.1 -Dquarkus.http.port="$(cat "$run/registry.port")" \
			-jar "$cache"/registry/app/apicurio-registry-app-*-runner.jar >"$run/registry.log" 2>&1 </dev/null &
		echo $! >"$run/registry.pid"
	fi
	wait_for registry fetch "$(registry_url)/subjects"
}

registry_url() { echo "http://127.0.0.1:$(cat "$run/registry.port")/apis/ccompat/v7"; }

# As few partitions as possible. Record time is event time: nothing is too old or too new. Timeouts are short, for
# tests that kill: a broker, a member of a group, a producer in a transaction.
kafka_properties() { # NODES NODE
	local n=$1 i=$2 voters='' ports controllers in_sync=$(($1 > 1 ? $1 - 1 : 1))
	read -ra ports <"$run/kafka$n.ports"
	read -ra controllers <"$run/kafka$n.controllers"
	for v in $(seq "$n"); do voters+="${voters:+,}$v@127.0.0.1:${controllers[v - 1]}"; done
	cat <<-END
		process.roles=broker,controller
		node.id=$i
		listeners=PLAINTEXT://127.0.0.1:${ports[i - 1]},CONTROLLER://127.0.0.1:${controllers[i - 1]}
		advertised.listeners=PLAINTEXT://127.0.0.1:${ports[i - 1]}
		controller.listener.names=CONTROLLER
		controller.quorum.voters=$voters
		listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
		log.dirs=$run/kafka$n-$i
		auto.create.topics.enable=false
		default.replication.factor=$n
		min.insync.replicas=$in_sync
		offsets.topic.replication.factor=$n
		offsets.topic.num.partitions=4
		transaction.state.log.replication.factor=$n
		transaction.state.log.min.isr=$in_sync
		transaction.state.log.num.partitions=4
		share.coordinator.state.topic.replication.factor=$n
		share.coordinator.state.topic.min.isr=$in_sync
		share.coordinator.state.topic.num.partitions=1
		log.retention.ms=-1
		log.message.timestamp.before.max.ms=9223372036854775807
		log.message.timestamp.after.max.ms=9223372036854775807
		broker.session.timeout.ms=2000
		broker.heartbeat.interval.ms=500
		group.initial.rebalance.delay.ms=0
		group.min.session.timeout.ms=500
		transaction.abort.timed.out.transaction.cleanup.interval.ms=500
	END
}

java=(java -Xmx$([[ " $* " == *" kafka3 "* ]] && echo 320m || echo 512m) -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$cache/kafka/jars/*")

run_node() { # NODES NODE
	nohup "${java[@]}" kafka.Kafka "$run/kafka$1-$2.properties" >>"$run/kafka$1-$2.log" 2>&1 </dev/null &
	echo $! >"$run/kafka$1-$2.pid"
}

start_nodes() { # NODES
	local n=$1 id='' i
	for i in $(seq "$n"); do
		if alive "kafka$n-$i" kafka.Kafka; then continue; fi
		if [ -z "$id" ]; then
			if [ "$i" != 1 ]; then
				say "node $i of $n does not run; stop and start again"
				exit 1
			fi
			free_port "$n" >"$run/kafka$n.ports"
			free_port "$n" >"$run/kafka$n.controllers"
			id=$("${java[@]}" kafka.tools.StorageTool random-uuid)
		fi
		rm -rf "$run/kafka$n-$i"
		kafka_properties "$n" "$i" >"$run/kafka$n-$i.properties"
		"${java[@]}" kafka.tools.StorageTool format -t "$id" -c "$run/kafka$n-$i.properties" >"$run/kafka$n-$i.log" 2>&1
	done
	if [ -n "$id" ]; then
		for i in $(seq "$n"); do run_node "$n" "$i"; done
	fi
	for i in $(seq "$n"); do wait_node "$n" "$i"; done
}

# restart_node kills a node at once and starts it again with its data: of several the one whose turn it is. Whoever kills
# several in a row waits until all have all records again.
restart_node() { # NODES
	local n=$1 i=1
	if [ -f "$run/kafka$n.turn" ]; then i=$(($(cat "$run/kafka$n.turn") % n + 1)); fi
	echo "$i" >"$run/kafka$n.turn"
	alive "kafka$n-$i" kafka.Kafka || {
		say "node $i of kafka does not run"
		exit 1
	}
	kill -KILL "$(cat "$run/kafka$n-$i.pid")"
	while alive "kafka$n-$i" kafka.Kafka; do sleep 0.1; done
	run_node "$n" "$i"
	wait_node "$n" "$i"
}

wait_node() { # NODES NODE
	wait_for "kafka$1-$2" python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)' "$(cut -d' ' -f"$2" "$run/kafka$1.ports")"
}

start_kafka() { start_nodes 1; }
start_kafka3() { start_nodes 3; }

start_spark() { :; } # its tests start it

start_streams() { :; } # bench/streams.py starts it
start_flink() { :; }   # likewise

environment() { # NAME
	case $1 in
	s3)
		echo "export TIDEMARK_TEST_S3=http://127.0.0.1:$(cat "$run/s3.port")"
		echo "export TIDEMARK_TEST_S3_BUCKET=$bucket"
		echo "export TIDEMARK_TEST_S3_KEY=tidemark"
		echo "export TIDEMARK_TEST_S3_SECRET=tidemark-secret"
		;;
	postgres) echo "export TIDEMARK_TEST_POSTGRES=postgres://tidemark@127.0.0.1:$(cat "$run/postgres.port")/lake?sslmode=disable" ;;
	rest)
		environment s3
		echo "export TIDEMARK_TEST_REST=http://127.0.0.1:$(cat "$run/rest.port")"
		;;
	spark) echo "export TIDEMARK_TEST_SPARK_JARS=$cache/spark/jars" ;;
	streams) echo "export TIDEMARK_BENCH_STREAMS_JARS=$cache/streams/jars" ;;
	flink) echo "export TIDEMARK_BENCH_FLINK_JARS=$cache/flink/jars" ;;
	registry) echo "export TIDEMARK_TEST_REGISTRY=$(registry_url)" ;;
	kafka) echo "export TIDEMARK_TEST_KAFKA=$(sed 's/^/127.0.0.1:/' "$run/kafka1.ports")" ;;
	kafka3) echo "export TIDEMARK_TEST_KAFKA=$(sed 's/ /,127.0.0.1:/g; s/^/127.0.0.1:/' "$run/kafka3.ports")" ;;
	esac
}

usage() {
	sed -n '2,12p' "$0" >&2
	exit 2
}

do=${1:-}
[ $# = 0 ] || shift
[ $# != 0 ] || set -- s3 postgres rest spark kafka registry
for s in "$@"; do
	case $s in s3 | postgres | rest | spark | kafka | registry | kafka3 | streams | flink) ;; *) usage ;; esac
done

case "$do" in
install)
	for s in "$@"; do install "$s"; done
	;;
start)
	for s in "$@"; do install "$s"; done
	for s in "$@"; do "start_$s"; done
	for s in "$@"; do environment "$s"; done
	;;
restart)
	case "$*" in
	kafka) restart_node 1 ;;
	kafka3) restart_node 3 ;;
	*) usage ;;
	esac
	;;
stop)
	for s in rest:RESTCatalogServer s3:versitygw registry:apicurio-registry kafka1-1:kafka.Kafka kafka3-{1,2,3}:kafka.Kafka; do
		if alive "${s%%:*}" "${s##*:}"; then kill -KILL "$(cat "$run/${s%%:*}.pid")" || true; fi
	done
	if [ -f "$run/postgres.data" ]; then
		(cd / && as_pg "$(pg_bin)/pg_ctl" -D "$(cat "$run/postgres.data")" -m immediate stop) >/dev/null 2>&1 || true
		rm -rf "$(cat "$run/postgres.data")"
	fi
	rm -rf "$run"
	;;
*) usage ;;
esac
