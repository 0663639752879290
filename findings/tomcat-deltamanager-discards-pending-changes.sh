#!/usr/bin/env bash
# Tomcat 10.1.59: a change that comes from another node discards what a request under way has changed.
#
# Two requests of one session run at the same time on two Tomcats of a cluster, and change two different attributes. The manual
# (cluster-howto) says of DeltaManager that it replicates "session deltas" to all nodes, so each node should end with both. But
# DeltaSession.deserializeAndExecuteDeltaRequest puts the delta that came in place of the session's own one and resets that: what the
# request has set until then is never sent. Synchronous, confirmed messages (channelSendOptions 6) do not help. BackupManager loses the
# same update, and so do both in 11.0.24. Seen 2026-11-30; OpenJDK 17. Output: `DeltaManager: 20 of 20 updates lost`, four times.
#
# Two standalone Tomcats on loopback with static members (adapters/tomcat/it/run, no Leveret in it). A slow request sets `a` on the
# first one; while it runs a fast one sets `b` on the second; then both Tomcats are asked for both. Exits 1 if fewer than 20 of 20 are lost.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for version in 10.1.59 11.0.24; do
    "$root/adapters/tomcat/it/run" --beside-only --version "$version" --cache "$dir" | tee "$dir/said"
    for manager in DeltaManager BackupManager; do
        grep -q "tomcat $version $manager: 20 of 20 updates lost" "$dir/said"
    done
done
