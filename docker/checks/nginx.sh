#!/bin/sh
# docker/nginx/auricle.conf in a real nginx, with a certificate of its own, in front of the service on AURICLE_PORT (8000):
# docker/checks/nginx.sh clip.flac "words in it"
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
clip="$1" words="$2" port="${AURICLE_PORT:-8000}"
folder="$(mktemp -d)"
stop() {
    [ ! -f "$folder/pid" ] || kill "$(cat "$folder/pid")"
    rm -rf "$folder"
}
trap stop EXIT
chmod 755 "$folder"

openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    -keyout "$folder/privkey.pem" -out "$folder/fullchain.pem" 2>/dev/null
# The file as it is, but for its ports, certificate and log.
sed -e "s#/etc/ssl/auricle#$folder#; s#/var/log/nginx#$folder#; s#speech.example.org#localhost#" \
    -e "s/127.0.0.1:8000/127.0.0.1:$port/" -e 's/listen 80;/listen 8080;/; s/listen 443 /listen 8443 /; /listen \[::\]/d' "$here/../nginx/auricle.conf" > "$folder/auricle.conf"
echo "pid $folder/pid; error_log $folder/error.log; events {} http { client_body_temp_path $folder; include $folder/auricle.conf; }" > "$folder/nginx.conf"
nginx -t -c "$folder/nginx.conf"
nginx -c "$folder/nginx.conf"

PYTHONPATH="$here/../.." python "$here/exercise.py" https://localhost:8443 "$clip" "$words" --certificate "$folder/fullchain.pem"

answer() { # status and body of a request
    curl --silent --cacert "$folder/fullchain.pem" --write-out ' %{http_code}' "$@"
}
expect() { # name, pattern, got
    case "$3" in
        $2) echo "ok    $1: $3" ;;
        *) echo "WRONG $1: $3" && exit 1 ;;
    esac
}
truncate -s 514M "$folder/large"
expect "too large" '*file_too_large* 413' "$(answer --data-binary "@$folder/large" -H 'Content-Type: audio/wav' https://localhost:8443/transcribe)"
expect "request id" '*x-request-id: mine*' "$(answer --head --request GET -H 'X-Request-Id: mine' https://localhost:8443/healthz | tr -d '\r')"
expect "plain http" '* 301' "$(curl --silent --write-out ' %{http_code}' http://localhost:8080/)"
expect "metrics from here" '* 200' "$(answer --output /dev/null https://localhost:8443/metrics)"
