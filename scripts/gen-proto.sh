#!/usr/bin/env bash
# Regenerates market/wire/pb from proto/ with pinned tools, kept in .cache/proto.
# Needs go and python3 (protoc comes from PyPI, the plugins from the Go module proxy).
set -euo pipefail
cd "$(dirname "$0")/.."

grpcio_tools=1.76.0 # protoc 31.1
protoc_gen_go=v1.36.12
protoc_gen_vtproto=v0.6.1-0.20240319094008-0393e58bdf10 # as go.mod has it

cache=$PWD/.cache/proto
pins="$grpcio_tools $protoc_gen_go $protoc_gen_vtproto"
if [[ $(cat "$cache/pins" 2>/dev/null) != "$pins" ]]; then
	rm -rf "$cache"
	mkdir -p "$cache/bin"
	python3 -m venv "$cache/venv"
	"$cache/venv/bin/pip" -q --disable-pip-version-check install "grpcio-tools==$grpcio_tools"
	GOBIN=$cache/bin go install "google.golang.org/protobuf/cmd/protoc-gen-go@$protoc_gen_go"
	GOBIN=$cache/bin go install "github.com/planetscale/vtprotobuf/cmd/protoc-gen-go-vtproto@$protoc_gen_vtproto"
	echo "$pins" >"$cache/pins"
fi

module=github.com/pinova-group/tidemark
rm -f market/wire/pb/*.pb.go
"$cache/venv/bin/python" -m grpc_tools.protoc -I proto \
	--plugin=protoc-gen-go="$cache/bin/protoc-gen-go" \
	--plugin=protoc-gen-go-vtproto="$cache/bin/protoc-gen-go-vtproto" \
	--go_out=. --go_opt=module=$module \
	--go-vtproto_out=. --go-vtproto_opt=module=$module,features=marshal+unmarshal+size \
	proto/tidemark/v1/*.proto
gofmt -l market/wire/pb
