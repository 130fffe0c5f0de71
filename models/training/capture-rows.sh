#!/bin/sh
# Rows of the captures in which nobody attacks from inside: `sh capture-rows.sh DIRECTORY > captures.ndjson`.
# Own networks are those that the captures' own descriptions name.
set -eu
directory=$1
weir=$(dirname "$0")/../../src/cli/weir.ts
node=$(dirname "$0")/../../node_modules/.bin/node

rows() {
  "$node" --no-warnings "$weir" features "$directory/$1" --internal "$2" --label benign --source "${1%%.*}"
}

rows zeek_sdt008-ctu-normal-40-day1.conn.log.labeled.gz 147.32.81.167/32
rows zeek_sdt011-ctu-normal-43-day1.conn.log.labeled.gz 147.32.83.165/32
rows zeek_sme-2023-02-20-benign.conn.log.labeled.gz 192.168.1.0/24
rows zeek_iot-benign-b1.conn.log.gz 192.168.0.0/16
rows argus_ctu-normal-7.binetflow.gz 10.0.0.46/32
rows argus_wincc-s7-polling.binetflow.gz 194.250.63.0/24
