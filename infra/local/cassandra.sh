# Sourced by `up`, `down` and `status`: one node of Apache Cassandra. Its roles are made at the first start.

start_cassandra() {
    local folder=$dir/cassandra agent
    ! already cassandra || return 0
    mkdir -p "$folder/data"
    sed -e "s|@HOST@|$(host_of "$CLIPFLOW_CASSANDRA_NODES")|g" -e "s|@PORT@|$(port_of "$CLIPFLOW_CASSANDRA_NODES")|" \
        -e "s|@STORAGE_PORT@|$(port_of "$CLIPFLOW_CASSANDRA_STORAGE")|g" -e "s|@DATA@|$folder/data|g" -e "s|@TLS@|$tls|" \
        "$local_infra/cassandra/cassandra.yaml" >"$folder/cassandra.yaml"
    agent=$(echo "$(jars cassandra)"/com.github.jbellis.jamm-*.jar)
    launch cassandra "$CLIPFLOW_CASSANDRA_NODES" \
        "$java_home/bin/java" @"$local_infra/cassandra/java.options" -javaagent:"$agent" -Dcassandra.config="file://$folder/cassandra.yaml" \
        -Dcassandra.storagedir="$folder/data" -Dcassandra.logdir="$folder" -Dlogback.configurationFile="$local_infra/cassandra/logback.xml" \
        -cp "$(jars cassandra)/*" org.apache.cassandra.service.CassandraDaemon
}

await_cassandra() { await cassandra cassandra_has_roles; }

# Ready is when our roles are the only ones: at its very first start Cassandra has one whose password everybody knows.
cassandra_has_roles() {
    grep -q 'Starting listening for CQL clients' "$logs/cassandra.log" || return 1
    [ -e "$dir/cassandra/roles.made" ] && return
    "$python" "$local_infra/cassandra/roles.py" >>"$logs/cassandra-roles.log" 2>&1 || return 1
    touch "$dir/cassandra/roles.made"
}

stop_cassandra() {
    ask_to_stop cassandra
    await_stopped cassandra
}
