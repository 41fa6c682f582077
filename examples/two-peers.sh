#!/usr/bin/env bash
# A whole Burrow network on this machine: a registry, a dashboard and two
# peers, alice and bob, all on loopback.
#
#   examples/two-peers.sh        run every example on the two peers, then stop
#                                everything and leave nothing behind
#   examples/two-peers.sh --up   keep the network running until Ctrl-C; its data
#                                stays in $BURROW_UP_DIR for the next time
#
# It needs the four programs in bin/ ("make build") and a POSIX system.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${BURROW_BIN:-$root/bin}
# The daemons must listen to the flags given here, not to the caller's settings.
unset BURROW_PEER BURROW_TOKEN_FILE BURROW_DATA BURROW_REGISTRY BURROW_USER \
  BURROW_PASSWORD_FILE BURROW_PORT BURROW_LISTEN BURROW_NAME BURROW_EXECUTOR

mode=run
case "${1:-}" in
'') ;;
--up) mode=up ;;
*)
  echo "usage: two-peers.sh [--up]" >&2
  exit 2
  ;;
esac

say() { printf '%s\n' "$*"; }

# die tells what went wrong, with the end of a daemon's log where one is named.
die() {
  say "two-peers: $1" >&2
  if [ -n "${2:-}" ] && [ -s "$2" ]; then
    say "--- the end of $2:" >&2
    tail -n 20 "$2" >&2
  fi
  exit 1
}

for program in registry peerd executor-plugin dashboard; do
  [ -x "$bin/$program" ] || die "$bin/$program is not there; build it with: make build"
done

pids=() # of the daemons that this script started; no other process is touched
dir=''

# interrupted ends the script: to be stopped is how --up is meant to end.
interrupted() {
  if [ $mode = up ]; then exit 0; fi
  exit "$1"
}

cleanup() {
  local status=$? pid waited=0
  trap - EXIT
  trap '' INT TERM
  for pid in ${pids[@]+"${pids[@]}"}; do kill -TERM "$pid" 2>/dev/null; done
  for pid in ${pids[@]+"${pids[@]}"}; do
    while kill -0 "$pid" 2>/dev/null && [ $waited -lt 150 ]; do
      sleep 0.1
      waited=$((waited + 1))
    done
    if kill -0 "$pid" 2>/dev/null; then
      say "two-peers: process $pid does not stop; ending it" >&2
      kill -KILL "$pid" 2>/dev/null
    fi
    wait "$pid" 2>/dev/null
  done
  if [ -n "$dir" ]; then
    if [ $mode = run ]; then rm -rf "$dir"; else rm -f "$dir/pid"; fi
  fi
  exit $status
}
trap cleanup EXIT
trap 'interrupted 130' INT
trap 'interrupted 143' TERM

umask 077
if [ $mode = up ]; then
  dir=${BURROW_UP_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/burrow/up}
  mkdir -p "$dir" || exit 1
  if [ -s "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; then
    running=$(cat "$dir/pid")
    at=$dir
    dir='' # it is not ours: leave it alone
    die "the network in $at is already up (process $running)"
  fi
  echo $$ >"$dir/pid"
else
  dir=$(mktemp -d "${TMPDIR:-/tmp}/burrow.XXXXXX") || exit 1
fi

# port N prints N where nothing serves it and the network is to stay up; else
# 0, which lets the system choose.
port() {
  if [ $mode = run ] || (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
    echo 0
  else
    echo "$1"
  fi
}

# launch NAME PROGRAM ARGS... starts a daemon with its own data folder and log.
launch() {
  local name=$1 program=$2
  shift 2
  mkdir -p "$dir/$name" || exit 1
  rm -f "$dir/$name/address" # of an earlier run
  "$bin/$program" "$@" --data "$dir/$name" >"$dir/$name.log" 2>&1 </dev/null &
  pids+=($!)
  eval "pid_$name=$!"
}

# await NAME WHAT COMMAND... repeats COMMAND until it works; it gives up when
# the daemon NAME has ended and after 30 seconds.
await() {
  local name=$1 what=$2 pid tries=0
  shift 2
  eval "pid=\$pid_$name"
  until "$@" >/dev/null 2>&1; do
    kill -0 "$pid" 2>/dev/null || die "$name ended at once" "$dir/$name.log"
    [ $tries -lt 300 ] || die "$name: $what not within 30 seconds" "$dir/$name.log"
    tries=$((tries + 1))
    sleep 0.1
  done
}

# field NAME prints the first "NAME": "value" of the JSON on its input.
field() {
  grep -o "\"$1\": *\"[^\"]*\"" | head -n 1 | sed -e "s/^\"$1\": *\"//" -e 's/"$//'
}

peer_ready() {
  local status
  status=$("$bin/peerd" status --json --data "$dir/$1") || return 1
  [ "$(printf '%s' "$status" | field executor)" = ready ] &&
    [ "$(printf '%s' "$status" | field registry)" = connected ]
}

started=$SECONDS
launch registry registry --listen "127.0.0.1:$(port 8070)" --signup open
await registry 'its address' test -s "$dir/registry/address"
await registry 'its join link' test -s "$dir/registry/join-link"
link=$(cat "$dir/registry/join-link")

launch dashboard dashboard --listen "127.0.0.1:$(port 8080)" --registry "$link"
for name in alice bob; do
  secret=$dir/$name.password
  [ -s "$secret" ] || head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$secret"
  [ $name = alice ] && wanted=9001 || wanted=9002
  launch $name peerd --port "$(port $wanted)" --name $name --registry "$link" --user $name --password-file "$secret"
done
await dashboard 'its address' test -s "$dir/dashboard/address"
for name in alice bob; do await $name 'ready' peer_ready $name; done

say "registry   http://$(cat "$dir/registry/address")"
say "dashboard  http://$(cat "$dir/dashboard/address")/"
for name in alice bob; do
  printf '%-10s http://%s\n' $name "$(cat "$dir/$name/address")"
done

if [ $mode = up ]; then
  say
  say "Join this network with another peer (signing up is open):"
  say "  $bin/peerd --port 0 --data \$HOME/.local/state/burrow/me --name me --registry $link --user me --password-file FILE"
  for name in alice bob; do
    say
    say "A job for $name:"
    say "  curl -H \"Authorization: Bearer \$(cat '$dir/$name/token')\" --data-binary @'$root/examples/hello.py' 'http://$(cat "$dir/$name/address")/v1/jobs?wait=30s'"
    say "  $bin/peerd run --data '$dir/$name' '$root/examples/ticker.py'"
  done
  say
  say "Data and logs are in $dir; Ctrl-C stops the network."
  while :; do
    for name in registry dashboard alice bob; do
      eval "pid=\$pid_$name"
      kill -0 "$pid" 2>/dev/null || die "$name has ended" "$dir/$name.log"
    done
    sleep 1
  done
fi

# run_job PEER FILE N runs a program to its end and keeps what came of it.
run_job() {
  local result=$dir/result.$3
  "$bin/peerd" run --data "$dir/$1" "$2" >"$result.out" 2>"$result.err" </dev/null
  echo $? >"$result.code"
  # One job at a time goes to each peer, so the newest of its list is ours.
  "$bin/peerd" jobs --json --data "$dir/$1" >"$result.json" 2>>"$result.err"
}

jobs=0 failed=0 alice_ran=0 bob_ran=0
report() {
  local result=$dir/result.$2 id state peer code
  code=$(cat "$result.code")
  id=$(field id <"$result.json")
  state=$(field state <"$result.json")
  peer=$(field peer <"$result.json")
  say
  say "--- $(basename "$1")  job $id  $state on $peer"
  cat "$result.out"
  sed 's/^/stderr: /' "$result.err"
  jobs=$((jobs + 1))
  if [ "$code" != 0 ] || [ "$state" != succeeded ]; then
    say "    exit code $code"
    failed=$((failed + 1))
  fi
  case $peer in
  alice) alice_ran=$((alice_ran + 1)) ;;
  bob) bob_ran=$((bob_ran + 1)) ;;
  esac
}

# The examples go to the two peers in pairs, one to each.
examples=("$root"/examples/*.py)
for ((n = 0; n < ${#examples[@]}; n += 2)); do
  running=()
  run_job alice "${examples[n]}" $n &
  running+=($!)
  if [ $((n + 1)) -lt ${#examples[@]} ]; then
    run_job bob "${examples[n + 1]}" $((n + 1)) &
    running+=($!)
  fi
  wait "${running[@]}"
  report "${examples[n]}" $n
  if [ $((n + 1)) -lt ${#examples[@]} ]; then report "${examples[n + 1]}" $((n + 1)); fi
done

say
say "$jobs jobs, $((jobs - failed)) succeeded, $failed failed; alice ran $alice_ran, bob ran $bob_ran; $((SECONDS - started)) seconds"
[ $failed -eq 0 ] && [ $alice_ran -gt 0 ] && [ $bob_ran -gt 0 ]
