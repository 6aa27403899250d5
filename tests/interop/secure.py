#!/usr/bin/env python3
"""Tests hybi over TLS and through proxies against other programs.

    cargo build --release --examples --features tokio,rustls-ring,webpki-roots
    cargo build --release --manifest-path tests/interop/Cargo.toml --target-dir target/interop
    tests/interop/secure.py target/interop/release/secure target/release/examples

The script makes a private authority with openssl, and a certificate for localhost. It tests:

- the example tls_client against websockets, openssl s_server, and nginx in front of the example echo_server, with and
  without the certificate of the authority;
- the same example through tinyproxy and microsocks, which the environment names, with right and wrong passwords;
- openssl s_client against a server of hybi;
- messages in both directions at once, between hybi and one of hybi, websockets and ws. hybi uses two threads;
- a client that connects again whenever its server is killed and started again.

The exit status is 0 if everything passed, 1 if the last printed test failed, and 2 if nothing could be run.

The script needs Linux, openssl, nginx, tinyproxy and microsocks, and the programs that interop.py needs. The option
--programs names a folder with the programs that are not installed. All connections use 127.0.0.1.

The program of hybi is secure.rs. The other programs are secure_peer.py and secure_peer.mjs. Each is called as

    server CERTIFICATE KEY COUNT SECONDS, or client URL AUTHORITY COUNT SECONDS

COUNT is the number of messages in each direction. With 0, the server of secure_peer.py sends all messages back.
"""

import argparse
import functools
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from interop import HERE, Child, Error, Failed, await_port, check, peers, quietly, said, tail
from autobahn import free_port

# Server, client, and the number of messages in each direction.
CONVERSATIONS = [
    ("hybi", "hybi", 1_000_000),
    ("websockets", "hybi", 1_000_000),
    ("hybi", "websockets", 200_000),
    ("ws", "hybi", 200_000),
    ("hybi", "ws", 200_000),
]
RESTARTS = 20
TIME_LIMIT = 150  # maximum seconds for one test; the longest one takes about 30
USER, PASSWORD = "user", "s3cr3t"


class Tests:
    def __init__(self, options):
        self.options, self.dir, self.children = options, options.report, []
        implementations = peers(options.cache.expanduser().resolve())
        python, _ = implementations["websockets"]
        node, _, modules = implementations["ws"]
        self.peers = {
            "hybi": [options.hybi],
            "websockets": [python, HERE / "secure_peer.py"],
            "ws": [node, HERE / "secure_peer.mjs", modules],
        }
        self.ca, self.certificate, self.key = (self.dir / name for name in ("ca.pem", "server.pem", "server.key"))
        self.make_certificates()

    def program(self, name):
        """Returns the path of a program, from the folder of --programs or from the system."""
        folders = [self.options.programs] if self.options.programs else []
        path = os.pathsep.join([str(f / bin) for f in folders for bin in ("usr/bin", "usr/sbin")]
                               + [os.environ["PATH"], "/usr/sbin"])
        found = shutil.which(name, path=path)
        if found is None:
            raise Error("the program %s is not installed" % name)
        return found

    def make_certificates(self):
        """Makes the certificates of the authority and of localhost."""
        openssl, ca_key, request = self.program("openssl"), self.dir / "ca.key", self.dir / "server.csr"
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        quietly([openssl, "req", "-x509", *new_key, "-keyout", ca_key, "-out", self.ca, "-days", "2",
                 "-subj", "/CN=private authority", "-addext", "keyUsage=critical,keyCertSign"])
        quietly([openssl, "req", *new_key, "-keyout", self.key, "-out", request, "-subj", "/CN=localhost"])
        extensions = self.dir / "extensions"
        extensions.write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
        quietly([openssl, "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial",
                 "-days", "2", "-extfile", extensions, "-out", self.certificate])

    # --- processes ---

    def start(self, name, command):
        child = Child(name, [str(word) for word in command], self.dir / (name.replace(" ", "-") + ".log"))
        self.children.append(child)
        return child

    def stop(self, *children):
        for child in children:
            child.stop()
            self.children.remove(child)

    def start_listening(self, name, command, port):
        """Starts a program, and waits until it listens at a port."""
        child = self.start(name, command)
        child.await_port(port, 20)
        return child

    def start_peer(self, name, role, *arguments):
        return self.start("%s %s" % (name, role), [*self.peers[name], role, *arguments])

    def start_server(self, name, count, *arguments):
        """Starts a server over TLS. Returns the server and its port."""
        server = self.start_peer(name, "server", self.certificate, self.key, count, TIME_LIMIT, *arguments)
        return server, await_port(server, time.monotonic() + 20)

    def run_example(self, port, trusted=True, **environment):
        """Sends a line with the example tls_client. Returns its status and its output."""
        command = [self.options.examples / "tls_client", "wss://localhost:%s/" % port]
        done = subprocess.run(command + [self.ca] * trusted, input="hello\n", timeout=TIME_LIMIT, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
        check(PASSWORD not in done.stdout, "the output has the password:\n" + tail(done.stdout))
        return done.returncode, done.stdout

    def check_opens(self, port, **environment):
        """Checks that tls_client opens a WebSocket, receives an echo, and closes."""
        status, output = self.run_example(port, **environment)
        check(status == 0 and "hello" in output and "1000" in output, "tls_client failed:\n" + tail(output))

    def check_fails(self, port, expected, trusted=True, **environment):
        """Checks that tls_client fails, and that its error has all parts of `expected`."""
        status, output = self.run_example(port, trusted, **environment)
        check(status == 1 and all(part in output for part in expected),
              "tls_client ended with %s, and its error does not have %s:\n%s" % (status, expected, tail(output)))

    # --- the tests ---

    def private_authority(self):
        server, port = self.start_server("websockets", 0)
        self.check_opens(port)
        self.check_fails(port, ["unknown authority"], trusted=False)
        self.stop(server)

    def nginx(self):
        port, behind = free_port(), free_port()
        echo_server = [self.options.examples / "echo_server", "127.0.0.1:%d" % behind]
        echo = self.start_listening("echo_server", echo_server, behind)
        temporary = "".join("%s_temp_path %s/temp;\n" % (kind, self.dir)
                            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.dir / "nginx.conf").write_text("""
            daemon off; master_process off; error_log stderr; pid %(dir)s/nginx.pid;
            events {}
            http {
                access_log off;
                %(temporary)s
                server {
                    listen 127.0.0.1:%(port)d ssl;
                    ssl_certificate %(certificate)s;
                    ssl_certificate_key %(key)s;
                    location / {
                        proxy_pass http://127.0.0.1:%(behind)d;
                        proxy_http_version 1.1;
                        proxy_set_header Host $http_host;
                        proxy_set_header Upgrade $http_upgrade;
                        proxy_set_header Connection upgrade;
                    }
                }
            }
            """ % {"dir": self.dir, "temporary": temporary, "port": port, "behind": behind,
                   "certificate": self.certificate, "key": self.key})
        nginx = self.start_listening("nginx", [self.program("nginx"), "-e", "stderr", "-p", self.dir,
                                               "-c", self.dir / "nginx.conf"], port)
        self.check_opens(port)
        self.check_fails(port, ["unknown authority"], trusted=False)
        self.stop(echo)
        self.check_fails(port, ["502"])
        self.stop(nginx)

    def s_server(self):
        """The server speaks TLS, but no WebSocket: it answers each request with a page."""
        for version in ("-tls1_2", "-tls1_3"):
            port = free_port()
            s_server = [self.program("openssl"), "s_server", "-accept", "127.0.0.1:%d" % port,
                        "-cert", self.certificate, "-key", self.key, version, "-www"]
            server = self.start_listening("s_server", s_server, port)
            self.check_fails(port, ["200"])
            self.check_fails(port, ["unknown authority"], trusted=False)
            self.stop(server)

    def s_client(self):
        """s_client speaks TLS, but no WebSocket, so the test writes the request and reads the frame."""
        for version in ("-tls1_2", "-tls1_3"):
            server, port = self.start_server("hybi", 1)
            request = ("GET / HTTP/1.1\r\nHost: localhost:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % port)
            client = subprocess.Popen(
                [self.program("openssl"), "s_client", "-connect", "127.0.0.1:%s" % port, "-servername", "localhost",
                 "-CAfile", self.ca, "-verify_return_error", "-verify_hostname", "localhost", "-quiet", version],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            with client:
                client.stdin.write(request.encode())
                client.stdin.flush()
                answer = b""
                while b"message 0" not in answer and (part := client.stdout.read1(4096)):
                    answer += part
                client.kill()
            check(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer and answer.endswith(b"\x81\x09message 0"),
                  "s_client received %r" % answer)
            self.stop(server)

    def http_proxy(self):
        server, target = self.start_server("websockets", 0)
        port = free_port()
        (self.dir / "tinyproxy.conf").write_text(
            "Port %d\nListen 127.0.0.1\nTimeout 60\nMaxClients 10\nLogLevel Connect\nBasicAuth %s %s\n"
            % (port, USER, PASSWORD))
        tinyproxy = [self.program("tinyproxy"), "-d", "-c", self.dir / "tinyproxy.conf"]
        proxy = self.start_listening("tinyproxy", tinyproxy, port)
        address = "http://%s:%s@localhost:%d" % (USER, PASSWORD, port)
        request = "CONNECT localhost:%s" % target
        for variable in ("https_proxy", "HTTPS_PROXY", "wss_proxy", "all_proxy"):
            before = proxy.output().count(request)
            self.check_opens(target, **{variable: address})
            check(proxy.output().count(request) == before + 1, "%s has no effect" % variable)
        self.check_fails(target, ["unknown authority"], trusted=False, https_proxy=address)
        self.check_fails(target, ["407"], https_proxy="http://localhost:%d" % port)
        # tinyproxy answers a wrong password with status 401.
        wrong_password = "http://%s:wrong@localhost:%d" % (USER, port)
        self.check_fails(target, ["401", "user and password"], https_proxy=wrong_password)
        # Nothing listens at this port, so the proxy cannot connect.
        self.check_fails(free_port(), ["proxy"], https_proxy=address)
        # No proxy listens at port 1, but `no_proxy` names the host, so no proxy is needed.
        self.check_opens(target, https_proxy="http://localhost:1", no_proxy="localhost")
        self.stop(proxy, server)

    def socks_proxy(self):
        server, target = self.start_server("websockets", 0)
        port = free_port()
        microsocks = [self.program("microsocks"), "-i", "127.0.0.1", "-p", port, "-u", USER, "-P", PASSWORD]
        proxy = self.start_listening("microsocks", microsocks, port)
        for scheme in ("socks5h", "socks5"):
            address = "%s://%s:%s@localhost:%d" % (scheme, USER, PASSWORD, port)
            self.check_opens(target, all_proxy=address)
            self.check_fails(target, ["unknown authority"], trusted=False, all_proxy=address)
            self.check_fails(free_port(), ["proxy"], all_proxy=address)
        check("connected to" in proxy.output(), "the proxy was not used:\n" + tail(proxy.output()))
        self.check_fails(target, ["proxy"], all_proxy="socks5h://%s:wrong@localhost:%d" % (USER, port))
        self.check_fails(target, ["proxy"], all_proxy="socks5h://localhost:%d" % port)
        self.stop(proxy, server)

    def both_directions(self, server_name, client_name, count):
        server, port = self.start_server(server_name, count)
        client = self.start_peer(client_name, "client", "wss://localhost:%s/" % port, self.ca, count, TIME_LIMIT)
        deadline = time.monotonic() + TIME_LIMIT
        for child in (client, server):
            check(child.wait(deadline), "the %s does not end:\n%s" % (child.name, tail(child.output())))
            status = child.stop()
            check(status == 0 and "done" in said(child),
                  "the %s ended with %s:\n%s" % (child.name, status, tail(child.output())))
            self.children.remove(child)

    def restarts(self):
        server, port = self.start_server("websockets", 0)
        client = self.start_peer("hybi", "reconnect", "wss://localhost:%s/" % port, self.ca, RESTARTS + 1, TIME_LIMIT)
        for n in range(1, RESTARTS + 2):
            deadline = time.monotonic() + 20
            while "open %d\n" % n not in client.output():
                check(not client.exited() and time.monotonic() < deadline,
                      "the client has not opened connection %d:\n%s" % (n, tail(client.output())))
                time.sleep(0.01)
            if n <= RESTARTS:
                os.killpg(server.process.pid, signal.SIGKILL)
                self.stop(server)
                server, _ = self.start_server("websockets", 0, port)
        check(client.wait(time.monotonic() + 20), "the client does not end")
        check(client.stop() == 0, "the client failed:\n" + tail(client.output()))
        self.children.remove(client)
        self.stop(server)

    def run(self):
        tests = {
            "a private authority": self.private_authority,
            "nginx with TLS in front": self.nginx,
            "openssl s_server": self.s_server,
            "openssl s_client": self.s_client,
            "tinyproxy": self.http_proxy,
            "microsocks": self.socks_proxy,
            "%d restarts of the server" % RESTARTS: self.restarts,
        }
        for names_and_count in CONVERSATIONS:
            name = "%s as server, %s as client, %d messages each way" % names_and_count
            tests[name] = functools.partial(self.both_directions, *names_and_count)
        for name, test in tests.items():
            started = time.monotonic()
            print("over TLS, %s: " % name, end="", flush=True)
            test()
            print("%.1f s" % (time.monotonic() - started), flush=True)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hybi", type=pathlib.Path, help="the program that is built from secure.rs")
    parser.add_argument("examples", type=pathlib.Path, help="the folder of the examples")
    parser.add_argument("--programs", type=pathlib.Path, metavar="DIR",
                        help="a folder with unpacked Debian packages (default: only installed programs)")
    below = HERE / "../../target/interop"
    parser.add_argument("--cache", type=pathlib.Path, metavar="DIR", default=below / "peers",
                        help="where the other implementations are installed (default: %(default)s)")
    parser.add_argument("--report", type=pathlib.Path, metavar="DIR", default=below / "secure",
                        help="where certificates and logs go (default: %(default)s)")
    options = parser.parse_args()
    options.hybi, options.examples = options.hybi.resolve(), options.examples.resolve()
    options.report, options.programs = options.report.resolve(), options.programs and options.programs.resolve()
    options.report.mkdir(parents=True, exist_ok=True)
    tests = None
    try:
        tests = Tests(options)
        tests.run()
    except (Failed, subprocess.TimeoutExpired) as e:
        print("FAILED: %s" % e, file=sys.stderr)
        return 1
    except Error as e:
        print("error: %s" % e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        for child in tests.children if tests else ():
            child.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
