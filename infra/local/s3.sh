# Sourced by `up`, `down` and `status`: versitygw, an S3 server over a folder that checks signatures and honours conditional writes.

start_s3() {
    ! already s3 || return 0
    mkdir -p "$dir/s3/data"
    launch s3 "${CLIPFLOW_S3_ENDPOINT#*://}" \
        env ROOT_ACCESS_KEY="$CLIPFLOW_S3_ACCESS_KEY" ROOT_SECRET_KEY="$CLIPFLOW_S3_SECRET_KEY" \
        "$(versitygw)" --port "${CLIPFLOW_S3_ENDPOINT#*://}" --health /healthz --quiet posix "$dir/s3/data"
}

await_s3() { await s3 curl --silent --fail --output /dev/null --noproxy '*' --max-time 2 "$CLIPFLOW_S3_ENDPOINT/healthz"; }

stop_s3() {
    ask_to_stop s3
    await_stopped s3
}
