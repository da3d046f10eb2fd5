#!/usr/bin/env python3
"""The admin API over TCP, as a client that is not ours sees it: Python's http.client and ssl.

    admin_http.py BINARIES

Tokens, Hosts and TLS; a token that is replaced while the node runs; a stream of events that goes on
while twenty others read nothing; clients that keep their connection and send nothing.
"""
import contextlib
import http.client
import json
import pathlib
import socket
import ssl
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import certificates
import network
import siglane
from operated import Operated
from processes import Failed, Processes, main, patience, wait_until

PORT, HOST = 18080, "stp01.example"
READ, CHANGE, NEW = "read-token-0123456789", "change-token-0123456789", "new-read-token-0123456789"
LISTENERS = 20


def write_token(directory, name, token):
    path = directory / f"{name}.token"
    path.touch(mode=0o600)
    path.write_text(token + "\n")
    return str(path)


class Api:
    def __init__(self, authority):
        self._context = ssl.create_default_context(cafile=authority.file)

    def connect(self):
        connection = http.client.HTTPSConnection(HOST, PORT, timeout=20 * patience(),
                                                 context=self._context)
        plain = socket.create_connection(("127.0.0.1", PORT), timeout=20 * patience())
        connection.sock = self._context.wrap_socket(plain, server_hostname=HOST)
        return connection

    def ask(self, path, token=None, method="GET", host=HOST):
        """Status and body: a dictionary, or text."""
        with contextlib.closing(self.connect()) as connection:
            headers = {"Host": host, **({"Authorization": f"Bearer {token}"} if token else {})}
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            body = answer.read().decode()
            is_json = "json" in answer.getheader("Content-Type", "")
            return answer.status, json.loads(body) if is_json else body

    def events(self, token, after=None):
        connection = self.connect()
        query = "" if after is None else f"?after={after}"
        connection.request("GET", f"/v1/events{query}", headers={
            "Host": HOST, "Authorization": f"Bearer {token}"})
        return connection, connection.getresponse()


def expect(found, wanted, what):
    if found != wanted:
        raise Failed(f"{what}: {found}, expected {wanted}")


def next_fact(answer, kind):
    while line := answer.readline().decode():
        if line.startswith("data: ") and json.loads(line[6:]).get("kind") == kind:
            return json.loads(line[6:])
    raise Failed(f"the stream ended before a fact {kind}")


def check_rights(api):
    expect(api.ask("/v1/node")[0], 401, "without a token")
    expect(api.ask("/v1/node", "wrong-token-0123456789")[0], 401, "with a wrong one")
    status, answer = api.ask("/v1/node", READ)
    expect(status, 200, "with the read token")
    expect(answer["node_status"]["shards"], 2, "shards")
    expect(api.ask("/v1/peers/asp1/block", READ, "POST")[0], 403, "a change with the read token")
    expect(api.ask("/v1/peers/asp1/block", CHANGE, "POST")[0], 200, "with the change token")
    expect(api.ask("/v1/peers/asp1", READ)[1]["peers"]["peer"][0]["blocked"], True, "blocked")
    expect(api.ask("/v1/peers/asp99/block", CHANGE, "POST")[0], 404, "a peer that there is not")
    expect(api.ask("/v1/node", READ, host="evil.example")[0], 421, "with another Host")
    expect(api.ask("/readyz", host="10.0.0.7"), (200, "ready\n"), "a probe")
    expect(api.ask("/livez"), (200, "alive\n"), "the other probe")


def check_pages(api):
    names, after = [], ""
    while True:
        peers = api.ask(f"/v1/peers?limit=3{after}", READ)[1]["peers"]
        names += [peer["name"] for peer in peers["peer"]]
        if not peers["next"]:
            break
        after = f"&after={peers['next']}"
    expect(names, [f"asp{n}" for n in range(1, 9)], "peers, page by page")


def check_events(api, stp):
    idle = [socket.create_connection(("127.0.0.1", PORT)) for _ in range(5)]
    deaf = [api.events(READ) for _ in range(LISTENERS)]
    connection, answer = api.events(READ)
    expect(answer.getheader("Content-Type"), "text/event-stream", "the type of a stream")
    stp.ctl("unblock", "asp1")
    fact = next_fact(answer, "notice")
    text = {field["key"]: field["value"] for field in fact["field"]}["text"]
    expect(text, "the operator asks to unblock asp1", "the first fact of the stream")
    for one, _ in [*deaf, (connection, None)]:
        one.close()
    for one in idle:
        one.close()


def check_siglanectl(binaries, directory, authority, files):
    done = subprocess.run(
        [binaries / "siglanectl", "--url", f"https://localhost:{PORT}", "--ca", authority.file,
         "--token-file", files["read"], "-o", "json", "stats"],
        check=False, capture_output=True, text=True, timeout=60 * patience())
    expect(done.returncode, 0, f"siglanectl --url ({done.stderr.strip()})")
    counters = {one["name"]: one["value"] for one in json.loads(done.stdout)["stats"]["counter"]}
    expect(counters["admin.refused"], 4, "admin.refused")


def check_rotation(api, stp, directory):
    write_token(directory, "read", NEW)
    stp.ctl("reload")
    wait_until(lambda: api.ask("/v1/node", NEW)[0] == 200, 20 * patience(), "the new token is good")
    expect(api.ask("/v1/node", READ)[0], 401, "the old token")


def test(directory):
    network.enter()
    with Processes(directory) as programs:
        authority = certificates.Authority(directory)
        certificate, key = authority.issue("node", f"{HOST},DNS:localhost")
        files = {"read": write_token(directory, "read", READ),
                 "change": write_token(directory, "change", CHANGE)}
        config = siglane.endpoint(siglane.example("stp"), "tcp", port=12905)
        config["runtime"] = {"shards": 2}
        config["admin"] = {"http": {
            "port": PORT, "host_names": [HOST], "read_token_file": files["read"],
            "change_token_file": files["change"],
            "tls": {"certificate": str(certificate), "key": str(key)}}}
        ours = siglane.Siglane(sys.argv[1], programs)
        stp = Operated(ours, "siglane-stp", "stp", config)
        api = Api(authority)
        check_rights(api)
        check_pages(api)
        check_events(api, stp)
        check_siglanectl(ours.binaries, directory, authority, files)
        check_rotation(api, stp, directory)
        if not 1 <= stp.node.count("admin_refused") <= 3:
            raise Failed(f"{stp.node.count('admin_refused')} lines about refused requests")
        expect(stp.node.stop(20 * patience()), 0, "status of the node")


if __name__ == "__main__":
    main(test)
