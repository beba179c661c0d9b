#!/usr/bin/env bash
# Ends the daemons that start_slurm.sh started, by the ids in their files, and waits until they are gone: a daemon
# removes its file seconds before it ends.
DIR=${DIR:-/tmp/sslkit-slurm}
ids=()
for name in slurmd slurmctld slurmdbd; do
    [ -s "$DIR/run/$name.pid" ] && ids+=("$(cat "$DIR/run/$name.pid")")
done
for id in "${ids[@]}"; do kill "$id" 2>/dev/null; done
for _ in $(seq 80); do
    alive=0
    for id in "${ids[@]}"; do kill -0 "$id" 2>/dev/null && alive=1; done
    [ $alive = 0 ] && exit 0
    sleep 0.25
done
exit 1
