#!/bin/bash
# A runtime in plain shell, without any client library: the Runtime API is HTTP.
set -euo pipefail
api="http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation"
while true; do
  headers="$(mktemp)"
  event="$(curl -sS -D "$headers" "$api/next")"
  id="$(tr -d '\r' < "$headers" | sed -n 's/^lambda-runtime-aws-request-id: //Ip')"
  echo "told of ${#event} bytes" >&2
  curl -sS -o /dev/null -X POST "$api/$id/response" -d "{\"heard\": ${#event}}"
done
