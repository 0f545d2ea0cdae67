# Sourced by `up`: passwords and certificates of this data folder, made once, readable by their owner only.

# A certificate that ends sooner than this is made again.
readonly CERTIFICATE_SECONDS_MIN=86400
readonly CERTIFICATE_DAYS=365

random() { openssl rand -hex "${1:-32}"; }

make_secrets() {
    [ -s "$secrets" ] && return
    [ -z "$(find "$dir" -mindepth 2 -maxdepth 2 -type d -name data)" ] ||
        fail "$secrets is gone, but engines that know its passwords are still in $dir: remove that folder and start again"
    say "making passwords in $secrets"
    cat >"$secrets.partial" <<SECRETS
# Made by infra/local/up for the engines in this folder; nothing else uses them. May do everything in Kafka:
CLIPFLOW_KAFKA_USERNAME=clipflow
CLIPFLOW_KAFKA_PASSWORD=$(random)
# Known to Kafka, but allowed nothing: for tests that are to be refused.
CLIPFLOW_KAFKA_STRANGER_USERNAME=stranger
CLIPFLOW_KAFKA_STRANGER_PASSWORD=$(random)
# May create keyspaces in Cassandra, and owns those it made.
CLIPFLOW_CASSANDRA_USERNAME=clipflow
CLIPFLOW_CASSANDRA_PASSWORD=$(random)
CLIPFLOW_CASSANDRA_ADMIN_USERNAME=clipflow_admin
CLIPFLOW_CASSANDRA_ADMIN_PASSWORD=$(random)
CLIPFLOW_S3_ACCESS_KEY=$(random 10)
CLIPFLOW_S3_SECRET_KEY=$(random 20)
SECRETS
    mv "$secrets.partial" "$secrets"
}

# An authority of our own, and a certificate of its for the brokers. The authority's key is thrown away: it signs once.
make_certificates() {
    openssl x509 -in "$tls/broker.pem" -noout -checkend "$CERTIFICATE_SECONDS_MIN" >/dev/null 2>&1 && [ -s "$tls/ca.pem" ] && [ -s "$tls/tokens.json" ] && return
    say "making certificates in $tls"
    rm -rf "$tls.partial"
    mkdir -p "$tls.partial"
    (
        cd "$tls.partial"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$CERTIFICATE_DAYS" -subj '/CN=ClipFlow local engines' \
            -addext 'basicConstraints=critical,CA:TRUE,pathlen:0' -addext 'keyUsage=critical,keyCertSign' -keyout ca.key -out ca.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=broker' -keyout broker.key -out broker.csr
        printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n' >extensions
        openssl x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -days "$CERTIFICATE_DAYS" -sha256 -extfile extensions -out broker.crt
        # Kafka reads key and certificate from one PEM file, the key in PKCS#8, which is what openssl writes.
        cat broker.key broker.crt >broker.pem
        openssl genrsa -out tokens.key 2048
        write_token_keys tokens.key >tokens.json
        rm ca.key broker.key broker.csr broker.crt extensions
    ) 2>"$logs/openssl.log" || fail "openssl could not make certificates; see $logs/openssl.log"
    rm -rf "$tls"
    mv "$tls.partial" "$tls"
}

# write_token_keys KEY: its public half as the JSON Web Key Set (RFC 7517) by which the brokers judge access tokens.
write_token_keys() {
    local modulus
    modulus=$(openssl rsa -in "$1" -noout -modulus | cut -d= -f2 | sed 's/../\\x&/g')
    printf '{"keys":[{"kty":"RSA","kid":"local","use":"sig","alg":"RS256","e":"AQAB","n":"%s"}]}\n' \
        "$(printf '%b' "$modulus" | base64 -w0 | tr '+/' '-_' | tr -d =)"
}

# Everything a client needs, in one file: where what runs listens, and the passwords. Kafka's lists name only brokers that exist,
# since clients report an address that refuses them as an error.
write_client_environment() {
    local size
    size=$(cat "$run/kafka.size" 2>/dev/null || echo 1)
    {
        echo "# Written by infra/local/up, for clients: KEY=VALUE lines."
        echo "CLIPFLOW_KAFKA_BROKERS=$(cut -d, -f"1-$size" <<<"$CLIPFLOW_KAFKA_BROKERS")"
        echo "CLIPFLOW_KAFKA_TLS_BROKERS=$(cut -d, -f"1-$size" <<<"$CLIPFLOW_KAFKA_TLS_BROKERS")"
        echo "CLIPFLOW_KAFKA_CA=$tls/ca.pem"
        echo "CLIPFLOW_KAFKA_TOKEN_KEY=$tls/tokens.key"
        echo "CLIPFLOW_CASSANDRA_NODES=$CLIPFLOW_CASSANDRA_NODES"
        echo "CLIPFLOW_CASSANDRA_CA=$tls/ca.pem"
        echo "CLIPFLOW_S3_ENDPOINT=$CLIPFLOW_S3_ENDPOINT"
        grep -v '^#' "$secrets"
    } >"$clients.partial"
    mv "$clients.partial" "$clients"
}
