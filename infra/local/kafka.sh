# Sourced by `up`, `down`, `status` and `broker`: Apache Kafka in KRaft mode, one broker or three, each its own controller.
# One JVM each. Replication is as in production where there are three: every write on two of them before it counts.

# The last broker of three may have been granted its leave before the others left, and be closing its files.
readonly LAST_BROKER_SECONDS=2

# kafka_size: how many brokers the running cluster has; nothing when none runs.
kafka_size() {
    local n
    for n in 1 2 3; do
        is_alive "kafka-$n" && cat "$run/kafka.size" && return
    done
    return 1
}

kafka_folder() { echo "$dir/kafka-$1-of-$2"; }

# start_kafka SIZE: clusters of one and of three keep their data apart, and run one at a time since they share ports.
start_kafka() {
    local size=$1 running n name
    for name in CLIPFLOW_KAFKA_BROKERS CLIPFLOW_KAFKA_TLS_BROKERS CLIPFLOW_KAFKA_CONTROLLERS; do
        # As after reading clients.env of a smaller cluster into the shell.
        [ -n "$(address "${!name},," "$size")" ] || fail "$name in the environment names fewer than $size addresses: unset it, or name them all"
    done
    if running=$(kafka_size) && [ "$running" != "$size" ]; then
        fail "a Kafka of $running broker(s) runs here, not of $size. Stop it first: infra/local/down kafka"
    fi
    [ -e "$dir/kafka-of-$size.formatted" ] || format_kafka "$size"
    echo "$size" >"$run/kafka.size"
    for n in $(seq "$size"); do start_broker "$n"; done
}

# start_broker N: into the cluster whose size is known; one that runs already is only woken if it was paused.
start_broker() {
    local name=kafka-$1 size archive share=()
    ! already "$name" || return 0
    size=$(cat "$run/kafka.size" 2>/dev/null) && [ "$1" -le "$size" ] || fail "there is no broker $1 to start: infra/local/up kafka 3"
    write_broker_properties "$1" "$size"
    # An archive of loaded classes saves two thirds of a start. The first clean stop of broker 1 leaves one; see keep_classes.
    archive=$(classes_archive)
    if [ -e "$archive" ]; then
        share=(-XX:SharedArchiveFile="$archive" -Xshare:auto -Xlog:cds=off -Xlog:cds+dynamic=off)
    elif [ "$1" = 1 ]; then
        share=(-XX:ArchiveClassesAtExit="$dir/classes.jsa" -Xlog:cds=off -Xlog:cds+dynamic=off)
    fi
    launch "$name" "$(address "$CLIPFLOW_KAFKA_BROKERS" "$1")" \
        "$java_home/bin/java" @"$local_infra/kafka/java.options" "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://$tls/tokens.json" "${share[@]}" -cp "$(jars kafka)/*" kafka.Kafka "$(kafka_folder "$1" "$size")/server.properties"
}

await_broker() { await "kafka-$1" grep -q 'Kafka Server started' "$logs/kafka-$1.log"; }

await_kafka() {
    local n
    for n in $(seq "$1"); do await_broker "$n"; done
}

stop_kafka() {
    local names=(kafka-1 kafka-2 kafka-3)
    ask_to_stop "${names[@]}"
    [ "$(cat "$run/kafka.size" 2>/dev/null)" != 3 ] || end_last_broker "${names[@]}"
    await_stopped "${names[@]}"
    keep_classes
}

# A broker asks the controllers' majority for leave. The last of three has none to ask and would wait for five minutes;
# what it wrote is on disk, and its next start checks it, as after a crash.
end_last_broker() {
    local until=$((SECONDS + STOP_SECONDS_MAX)) name left
    while [ "$SECONDS" -lt "$until" ]; do
        left=()
        for name; do ! is_alive "$name" || left+=("$name"); done
        [ ${#left[@]} -gt 1 ] || break
        sleep 0.1
    done
    [ ${#left[@]} -eq 1 ] || return 0
    sleep "$LAST_BROKER_SECONDS"
    ! is_alive "${left[0]}" || signal "${left[0]}" KILL
}

# classes_archive: its path; it only fits the jars and the Java it was made with.
classes_archive() { echo "$(jars kafka)/classes-$(sed -n 's/^JAVA_RUNTIME_VERSION="\(.*\)"/\1/p' "$java_home/release").jsa"; }

# Moves what a cleanly stopped broker left to where the next start looks for it; whole, since others may read it meanwhile.
keep_classes() {
    local archive
    [ -s "$dir/classes.jsa" ] || return 0
    java_home=$(find_java) || return 0
    archive=$(classes_archive)
    cp "$dir/classes.jsa" "$archive.$$"
    mv "$archive.$$" "$archive"
    rm "$dir/classes.jsa"
}

# format_kafka SIZE: names the cluster, its first voters and its users. The mark comes last, so half of it is done again.
format_kafka() {
    local size=$1 n cluster voters='' pids=()
    say "formatting the storage of $size broker(s)"
    cluster=$(kafka_uuid)
    for n in $(seq "$size"); do
        voters+="${voters:+,}$n@$(address "$CLIPFLOW_KAFKA_CONTROLLERS" "$n"):$(kafka_uuid)"
    done
    for n in $(seq "$size"); do
        rm -rf "$(kafka_folder "$n" "$size")"
        mkdir -p "$(kafka_folder "$n" "$size")"
        write_broker_properties "$n" "$size"
        format_broker "$(kafka_folder "$n" "$size")" "$cluster" "$voters" &
        pids+=($!)
    done
    for n in "${pids[@]}"; do wait "$n" || fail "formatting failed; see $logs/kafka-format.log"; done
    touch "$dir/kafka-of-$size.formatted"
}

# Passwords go in by a file, since every user of the machine can read a command line.
format_broker() {
    local options=$1/format.options
    {
        cat "$local_infra/kafka/java.options"
        echo "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp $(jars kafka)/* kafka.tools.StorageTool format"
        echo "-t $2 -c $1/server.properties --initial-controllers $3"
        echo "--add-scram SCRAM-SHA-512=[name=$CLIPFLOW_KAFKA_USERNAME,password=$CLIPFLOW_KAFKA_PASSWORD]"
        echo "--add-scram SCRAM-SHA-512=[name=$CLIPFLOW_KAFKA_STRANGER_USERNAME,password=$CLIPFLOW_KAFKA_STRANGER_PASSWORD]"
    } >"$options"
    "$java_home/bin/java" @"$options" >>"$logs/kafka-format.log" 2>&1 9>&- || return 1
    rm "$options"
}

# 16 random bytes as Kafka writes them: 22 characters of url-safe base64, the first no dash.
kafka_uuid() { echo "A$(openssl rand -base64 18 | tr '+/' '_a' | cut -c1-21)"; }

write_broker_properties() {
    local n=$1 size=$2 folder plain secure controller replicas_min=1 door doors='' proxies='' protocols=''
    folder=$(kafka_folder "$n" "$size")
    plain=$(address "$CLIPFLOW_KAFKA_BROKERS" "$n") secure=$(address "$CLIPFLOW_KAFKA_TLS_BROKERS" "$n") controller=$(address "$CLIPFLOW_KAFKA_CONTROLLERS" "$n")
    [ "$size" = 1 ] || replicas_min=2
    # A door listens at its port plus N, and sends clients to a proxy ten further on, which whoever asked for the door runs.
    for door in ${CLIPFLOW_KAFKA_DOORS//,/ }; do
        doors+=",DOOR_$door://127.0.0.1:$((door + n))"
        proxies+=",DOOR_$door://127.0.0.1:$((door + 10 + n))"
        protocols+=",DOOR_$door:PLAINTEXT"
    done
    sed -e "s|@NODE@|$n|" -e "s|@PLAIN@|$plain|g" -e "s|@SECURE@|$secure|g" -e "s|@CONTROLLER@|$controller|g" \
        -e "s|@CONTROLLERS@|$(cut -d, -f"1-$size" <<<"$CLIPFLOW_KAFKA_CONTROLLERS")|" -e "s|@DATA@|$folder/data|" -e "s|@TLS@|$tls|" \
        -e "s|@REPLICAS@|$size|" -e "s|@REPLICAS_MIN@|$replicas_min|" -e "s|@USER@|$CLIPFLOW_KAFKA_USERNAME|" \
        -e "s|@DOORS@|$doors|" -e "s|@PROXIES@|$proxies|" -e "s|@DOOR_PROTOCOLS@|$protocols|" \
        "$local_infra/kafka/server.properties" >"$folder/server.properties"
}
