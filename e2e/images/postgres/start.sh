# An empty database in /data, over TLS alone, with the password and the certificate in /server. psql in the pod needs no login.
set -eu
PATH="/usr/lib/postgresql/15/bin:$PATH"
install -m 600 /server/tls.key /data/tls.key
initdb -D /data/db -U owner --pwfile=/server/password --auth-local=trust --auth-host=scram-sha-256 --no-sync -E UTF8 --locale=C.UTF-8
echo "hostssl all all all scram-sha-256" >> /data/db/pg_hba.conf
exec postgres -D /data/db -h 0.0.0.0 -k /data -c fsync=off -c ssl=on -c ssl_cert_file=/server/tls.crt -c ssl_key_file=/data/tls.key
