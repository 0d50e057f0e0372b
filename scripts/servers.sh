#!/usr/bin/env bash
# The real servers of the lake's tests: versitygw (S3), PostgreSQL, the Iceberg REST catalog; and the jars of Spark.
#
#   scripts/servers.sh install          install what is missing into .cache
#   scripts/servers.sh start            install, start what does not run, print the environment of the tests
#   scripts/servers.sh stop             stop all of them and forget their data
#
# Idempotent. Everything listens on 127.0.0.1 at free ports; data and pid files are in .cache/servers.
# eval "$(scripts/servers.sh start)" sets the variables that the tests read.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=$PWD/.cache
run=$cache/servers
versitygw=v1.8.0
bucket=lake

say() { echo "servers: $*" >&2; }

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
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

install_all() {
	mkdir -p "$run"
	if [ ! -x "$cache/bin/versitygw" ]; then
		say "building versitygw $versitygw"
		GOFLAGS='' GOBIN=$cache/bin CGO_ENABLED=0 go install "github.com/versity/versitygw/cmd/versitygw@$versitygw" >&2
	fi
	[ -n "$(pg_bin)" ] || apt_install postgresql
	jars iceberg-rest
	jars spark
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

case "${1:-}" in
install) install_all ;;
start)
	install_all
	start_s3
	start_postgres
	start_rest
	cat <<-END
		export TIDEMARK_TEST_S3=http://127.0.0.1:$(cat "$run/s3.port")
		export TIDEMARK_TEST_S3_BUCKET=$bucket
		export TIDEMARK_TEST_S3_KEY=tidemark
		export TIDEMARK_TEST_S3_SECRET=tidemark-secret
		export TIDEMARK_TEST_POSTGRES=postgres://tidemark@127.0.0.1:$(cat "$run/postgres.port")/lake?sslmode=disable
		export TIDEMARK_TEST_REST=http://127.0.0.1:$(cat "$run/rest.port")
		export TIDEMARK_TEST_SPARK_JARS=$cache/spark/jars
	END
	;;
stop)
	for s in rest:RESTCatalogServer s3:versitygw; do
		if alive "${s%%:*}" "${s##*:}"; then kill "$(cat "$run/${s%%:*}.pid")" || true; fi
	done
	if [ -f "$run/postgres.data" ]; then
		(cd / && as_pg "$(pg_bin)/pg_ctl" -D "$(cat "$run/postgres.data")" -m immediate stop) >/dev/null 2>&1 || true
		rm -rf "$(cat "$run/postgres.data")"
	fi
	rm -rf "$run"
	;;
*)
	sed -n '2,11p' "$0" >&2
	exit 2
	;;
esac
