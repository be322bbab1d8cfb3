"""The admin socket: who is answered, readiness, sessions in pages, reload and drain, postern ctl."""

import json
import os
import resource
import signal
import socket
import threading
import time
import unittest

from admin import Admin, ctl, is_available
from brokers import echo
from clients import PATIENCE, TlsClient, tls_context
from harness import Case, main, pki, run_program

NOBODY = 54321


@unittest.skipUnless(is_available(), "built without the admin socket")
class Served(Case):
    def serve(self, address="unix:admin.sock", handler=echo, main=(), **options):
        self.broker = self.fake_broker(handler)
        self.server = self.postern(self.broker, main={"admin": address, **dict(main)}, **options)
        self.admin = Admin.of(self.server)

    def talk(self, **options):
        client = self.client(self.server, **options)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")
        return client

    def rewrite(self, old, new):
        with open(self.server.config_file, encoding="utf-8") as file:
            text = file.read()
        self.write("postern.conf", text.replace(old, new))


def own_address():
    """One of this machine that is not loopback; None: there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # nothing is sent
            return sock.getsockname()[0]
        except OSError:
            return None


class Access(Served):
    def test_it_is_off_unless_configured(self):
        postern = self.postern(self.fake_broker(echo))
        self.assertEqual(postern.all("admin"), [])

    def test_a_unix_socket_is_for_its_group_and_gone_after_the_end(self):
        self.serve()
        path = self.path("admin.sock")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o660)
        self.assertEqual(self.admin.get("/health").text, "alive\n")
        self.server.signal(signal.SIGTERM)
        self.assertEqual(self.server.wait_exit(), 0)
        self.assertFalse(os.path.exists(path))

    def test_a_second_postern_cannot_take_the_address(self):
        self.serve("127.0.0.1:0")
        address = "{}:{}".format(*self.admin.address)
        for admin in (address, "unix:" + self.path("admin.sock")):
            if admin.startswith("unix:"):
                self.serve()
            other = self.start(self.write("other.conf", self.config(
                self.broker, main={"admin": admin}, listen="127.0.0.1:0")), ready=False)
            other.expected_exit = 3
            self.assertEqual(other.wait_exit(), 3)
            self.assertIn("another program serves this address",
                          other.wait("cannot start")["message"])

    def test_a_folder_that_does_not_exist_is_named_as_such(self):
        other = self.start(self.write("other.conf", self.config(
            self.fake_broker(echo), main={"admin": "unix:" + self.path("none/admin.sock")},
            listen="127.0.0.1:0")), ready=False)
        other.expected_exit = 3
        self.assertEqual(other.wait_exit(), 3)
        self.assertIn("its folder does not exist", other.wait("cannot start")["message"])

    def test_names_that_may_have_been_rebound_are_refused(self):
        self.serve("127.0.0.1:0")
        for host, status in (("127.0.0.1:9883", 200), ("localhost", 200), ("postern:9883", 200),
                             ("[::1]:1", 200), ("rebound.example", 403),
                             ("127.0.0.1.rebound.example:9883", 403)):
            self.assertEqual(self.admin.get("/metrics", Host=host).status, status, host)

    def test_requests_of_web_pages_are_refused(self):
        self.serve("127.0.0.1:0")
        for path in ("/status", "/metrics"):
            answer = self.admin.get(path, Origin="http://127.0.0.1")
            self.assertEqual((answer.status, answer.text),
                             (403, "requests of web pages are not answered\n"))

    def test_over_tcp_nothing_can_be_changed(self):
        """A broker beside it reaches its loopback in a compose file, and so does every user here."""
        self.serve("127.0.0.1:0", main={"drain_timeout": "1h"})
        client = self.talk()
        mark = self.server.mark()
        for verb in ("reload", "drain"):
            answer = self.admin.post(f"/{verb}")
            self.assertEqual(answer.status, 403)
            self.assertIn("admin = unix:/run/postern/admin.sock", answer.text)
            done = self.admin.ctl(verb)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertEqual(done.stderr, f"postern ctl: {verb} refused: {answer.text}")
        for verb in ("status", "health", "sessions"):
            self.assertEqual(self.admin.ctl(verb).returncode, 0)
        client.send(b"y")
        self.assertEqual(client.recv_exactly(1), b"y")
        for event in ("reload done", "reload refused", "stopping"):
            self.assertEqual(self.server.all(event, since=mark), [])

    def test_what_changes_something_needs_post_and_the_rest_does_not(self):
        self.serve()
        for path, allowed in (("/reload", "POST"), ("/drain", "POST"), ("/metrics", "GET"),
                              ("/sessions", "GET")):
            other = {"POST": "GET", "GET": "POST"}[allowed]
            answer = self.admin.ask(other, path)
            self.assertEqual((answer.status, answer.headers["Allow"]), (405, allowed))
        self.assertEqual(self.admin.get("/").status, 404)
        self.assertEqual(self.admin.ask("HEAD", "/ready").status, 200)
        self.assertEqual(self.server.all("stopping"), [])

    @unittest.skipUnless(own_address(), "this machine has only loopback addresses")
    def test_from_elsewhere_one_may_look_but_not_at_clients_and_change_nothing(self):
        """Clients come from the address itself, which is not loopback."""
        self.serve(f"{own_address()}:0")
        self.assertIn("not a loopback address", self.server.wait("config")["message"])
        for path in ("/metrics", "/ready", "/health"):
            self.assertEqual(self.admin.get(path).status, 200, path)
        for method, path in (("GET", "/sessions"), ("GET", "/status"), ("POST", "/reload"),
                             ("POST", "/drain")):
            self.assertEqual(self.admin.ask(method, path).status, 403, path)
        self.assertEqual(self.server.all("stopping"), [])

    def test_a_wildcard_address_answers_this_machine_in_full(self):
        self.serve("0.0.0.0:0")
        self.admin.address = ("127.0.0.1", self.admin.address[1])
        self.assertEqual(self.admin.get("/sessions").status, 200)

    def test_a_reload_cannot_change_the_address(self):
        self.serve()
        self.rewrite("admin.sock", "other.sock")
        answer = self.admin.post("/reload")
        self.assertEqual(answer.status, 422)
        self.assertIn("admin cannot change in a reload", answer.text)

    def test_check_names_the_address_and_mistakes_are_refused(self):
        text = self.config(self.fake_broker(echo), main={"admin": "127.0.0.1:9883"})
        file = self.write("postern.conf", text)
        self.assertIn("admin 127.0.0.1:9883\n", run_program("--check", "-c", file).stdout)
        for value in ("9883", ":9883", "unix:", "localhost", "unix:" + "x" * 200):
            self.write("postern.conf", text.replace("127.0.0.1:9883", value))
            done = run_program("--check", "-c", file)
            self.assertEqual(done.returncode, 1, value)
            self.assertIn(f"postern.conf:", done.stderr)


class Hostile(Served):
    def raw(self, data=b""):
        sock = socket.socket(socket.AF_UNIX if isinstance(self.admin.address, str)
                             else socket.AF_INET)
        sock.settimeout(PATIENCE)
        sock.connect(self.admin.address)
        sock.sendall(data)
        self.addCleanup(sock.close)
        return sock

    def test_connections_that_say_nothing_keep_nobody_out_and_cost_few_descriptors(self):
        self.serve("127.0.0.1:0")
        client = self.talk()
        before = self.server.descriptors()
        for _ in range(100):
            self.raw(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n")
        start = time.monotonic()
        for _ in range(5):
            self.assertEqual(self.admin.get("/ready").status, 200)
        self.assertLess(time.monotonic() - start, 5)
        self.assertLessEqual(self.server.descriptors() - before, 24)
        client.send(b"y")
        self.assertEqual(client.recv_exactly(1), b"y")

    def test_a_connection_that_trickles_makes_room(self):
        self.serve("127.0.0.1:0")
        slow = [self.raw(b"GET /ready HTTP/1.1\r\nX: ") for _ in range(16)]
        stop = threading.Event()

        def trickle():
            while not stop.wait(0.05):
                for sock in slow:
                    try:
                        sock.send(b"x")
                    except OSError:
                        pass

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            for _ in range(40):
                self.assertEqual(self.admin.get("/ready").status, 200)
        finally:
            stop.set()
            thread.join()

    def test_large_requests_are_refused(self):
        self.serve()
        sock = self.raw(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40000)
        self.assertNotIn(b" 200 ", sock.recv(1000))
        sock = self.raw(b"POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
        mark = self.server.mark()
        try:
            for _ in range(100):
                sock.sendall(b"x" * 10000)
            sock.recv(1000)
        except OSError:
            pass
        self.assertEqual(self.admin.get("/ready").status, 200)
        self.assertEqual(self.server.all("reload done", since=mark), [])

    def test_garbage_is_no_request(self):
        self.serve("127.0.0.1:0")
        for data in (b"\x16\x03\x01\x02\x00\x01", b"\r\n" * 100, b"GET\r\n\r\n",
                     b"GET /sessions?limit=%00&next=%ff HTTP/1.1\r\nHost: a\r\n\r\n",
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            sock = self.raw(data)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        self.assertEqual(self.admin.get("/ready").status, 200)


class Ready(Served):
    def answer(self):
        answer = self.admin.get("/ready")
        return answer.status, answer.text.strip()

    def test_it_is_not_ready_while_no_broker_is_there(self):
        self.serve(listener={"connect_timeout": "300ms"})
        self.assertEqual(self.answer(), (200, "ready"))
        self.broker.down()
        client = self.client(self.server)
        client.send(b"x")
        self.server.wait("backend down")
        self.assertEqual(self.answer(), (503, "no_backend"))
        self.broker.up()
        self.wait_until(lambda: self.answer() == (200, "ready"), "the broker")

    def test_it_is_not_ready_while_it_drains_but_alive(self):
        self.serve(main={"drain_timeout": "1h"})
        clients = [self.talk() for _ in range(10)]
        self.server.signal(signal.SIGTERM)
        self.wait_until(lambda: self.answer() == (503, "draining"), "the drain")
        self.assertEqual(self.admin.get("/health").status, 200)
        self.assertEqual(self.admin.get("/metrics").status, 200)
        self.assertEqual(self.admin.post("/reload").status, 503)
        for client in clients:
            client.cut()
        self.assertEqual(self.server.wait_exit(), 0)

    def test_a_broker_that_a_reload_names_counts(self):
        self.serve(listener={"connect_timeout": "300ms"})
        self.broker.down()
        self.client(self.server).send(b"x")
        self.server.wait("backend down")
        other = self.fake_broker(echo)
        self.rewrite(self.broker.address, other.address)
        self.assertEqual(self.admin.post("/reload").status, 200)
        self.assertEqual(self.answer(), (200, "ready"))


class Sessions(Served):
    def pages(self, limit):
        """Each page's sessions."""
        path = f"/sessions?limit={limit}"
        while path:
            page = json.loads(self.admin.get(path).text)
            yield page["sessions"]
            path = page["next"] and f"/sessions?limit={limit}&next={page['next']}"

    def test_a_session_is_listed_with_what_its_closing_line_says(self):
        device = pki.client("device-7")
        self.write("ca.pem", pki.authority("Device CA").pem)
        self.serve(listener={"client_auth": "required", "client_ca": "ca.pem"})
        client = self.talk(cert=device, server_name="localhost")
        (session,) = json.loads(self.admin.get("/sessions").text)["sessions"]
        client.close()
        end = self.server.end_of(client)
        for key in ("listener", "peer", "identity", "sni", "tls", "cipher", "group", "backend"):
            self.assertEqual(session[key], end[key], key)
        self.assertEqual((session["up"], session["down"]), (1, 1))
        self.assertEqual(session["state"], "relaying")
        self.assertEqual(session["resumed"], False)
        since = time.mktime(time.strptime(session["since"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        self.assertAlmostEqual(since, time.time(), delta=60)

    def test_since_when_a_session_is_there_does_not_change(self):
        self.serve()
        self.talk()
        seen = set()

        def is_two_seconds_old():
            (session,) = json.loads(self.admin.get("/sessions").text)["sessions"]
            seen.add(session["since"])
            return session["seconds"] >= 2

        self.wait_until(is_two_seconds_old, "a session of two seconds")
        self.assertEqual(len(seen), 1, seen)

    def test_a_client_that_has_said_nothing_is_listed_without_what_is_not_known(self):
        self.serve()
        client = self.tcp_client(self.server)
        (session,) = self.wait_until(
            lambda: json.loads(self.admin.get("/sessions").text)["sessions"], "the session")
        self.assertEqual((session["state"], session["peer"]), ("hello", client.peer))
        for key in ("route", "identity", "sni", "tls", "cipher", "group", "backend"):
            self.assertIsNone(session[key])

    def test_routes_are_seen(self):
        """In the list, in the ends of certificates, and as a reason to be ready."""
        other = self.fake_broker(echo)
        tenant = pki.authority().issue("tenant", names=["tenant.example"])
        tenant.write(self.path("tenant"))
        self.serve(more=f"""[certificate tenant]
cert = {self.path("tenant/cert.pem")}
key = {self.path("tenant/privkey.pem")}
[route tenant]
server_name = tenant.example
certificates = tenant
backend = {other.address}
""")
        self.talk(server_name="tenant.example")
        (session,) = json.loads(self.admin.get("/sessions").text)["sessions"]
        self.assertEqual((session["route"], session["backend"]), ("tenant", other.address))
        self.assertIn('tenant/cert.pem"', self.admin.get("/metrics").text)

    def test_a_thousand_sessions_come_in_pages_each_once(self):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self.serve(handler=None)
        context = tls_context(pki.authority().pem)
        peers = {self.client(self.server, context=context).peer for _ in range(1000)}
        for limit in (1000, 300, 77):
            pages = list(self.pages(limit))
            self.assertEqual([len(page) for page in pages[:-1]], [limit] * (len(pages) - 1))
            listed = [session["peer"] for page in pages for session in page]
            self.assertEqual(len(listed), 1000)
            self.assertEqual(set(listed), peers)
        done = self.admin.ctl("sessions")
        self.assertEqual(done.returncode, 0)
        self.assertEqual({json.loads(line)["peer"] for line in done.stdout.splitlines()}, peers)

    def test_sessions_that_end_between_two_pages_do_no_harm(self):
        self.serve(main={"workers": "1"})
        clients = [self.talk() for _ in range(6)]
        pages = self.pages(2)
        listed = [s["peer"] for s in next(pages)]
        for client in (clients[0], clients[2], clients[3]):
            client.close()
            self.server.end_of(client)
        late = self.talk()
        listed += [s["peer"] for page in pages for s in page]
        self.assertEqual(listed, [clients[n].peer for n in (0, 1, 4, 5)])
        self.assertNotIn(late.peer, listed)

    def test_pages_that_are_over_or_wrong_are_refused(self):
        self.serve()
        for _ in range(3):
            self.talk()
        for argument, status in (("limit=0", 400), ("limit=1001", 400), ("limit=x", 400),
                                 ("next=x", 400), ("next=-1", 400), ("next=999999", 410)):
            self.assertEqual(self.admin.get("/sessions?" + argument).status, status, argument)
        first = json.loads(self.admin.get("/sessions?limit=1").text)["next"]
        self.assertEqual(self.admin.get(f"/sessions?limit=1&next={first}").status, 200)
        self.assertEqual(self.admin.get(f"/sessions?limit=1&next={first}").status, 410)
        first = json.loads(self.admin.get("/sessions?limit=1").text)["next"]
        for _ in range(4):
            self.admin.get("/sessions?limit=1")
        self.assertEqual(self.admin.get(f"/sessions?limit=1&next={first}").status, 410)

    def test_names_of_clients_cannot_forge_json(self):
        name = 'a","up":1,"x":"\\ü'
        self.write("ca.pem", pki.authority("Device CA").pem)
        self.serve(listener={"client_auth": "required", "client_ca": "ca.pem"})
        self.talk(cert=pki.client(name))
        (session,) = json.loads(self.admin.get("/sessions").text)["sessions"]
        self.assertEqual(session["identity"], name)


class Ctl(Served):
    def test_status_says_how_it_goes(self):
        self.serve(listener={"connect_timeout": "300ms"})
        self.talk()
        done = self.admin.ctl("status")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.startswith("ready\nPostern "))
        self.assertIn("listener mqtt: 1 clients at a broker", done.stdout)
        self.assertIn(f"backend {self.broker.address}: up", done.stdout)
        self.broker.down()
        self.client(self.server).send(b"x")
        self.server.wait("backend down")
        done = self.admin.ctl("status")
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stdout.startswith("not ready: no_backend\n"))

    def test_health_is_yes_without_a_broker_and_while_it_drains(self):
        self.serve(main={"drain_timeout": "1h"}, listener={"connect_timeout": "300ms"})
        client = self.talk()
        self.broker.down()
        self.client(self.server).send(b"x")
        self.server.wait("backend down")
        for _ in range(2):
            done = self.admin.ctl("health")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "alive\n", ""))
            self.server.signal(signal.SIGTERM)
            self.server.wait("stopping")
        client.cut()

    def test_health_is_no_when_the_answer_is(self):
        def hung(peer):
            self.assertTrue(peer.recv().startswith(b"GET /health HTTP/1.1\r\n"))
            peer.send(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nhung\n")

        done = ctl("--admin", self.fake_broker(hung).address, "health")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (1, "", "postern ctl: hung\n"))

    def test_health_does_not_depend_on_a_file_that_a_reload_would_refuse(self):
        self.serve()
        path = self.path("postern.conf")
        with open(path, "a", encoding="utf-8") as file:
            file.write("no key = of ours\n[no section]\n[\n")
        self.assertEqual(ctl("-c", path, "health").returncode, 0)

    def test_health_of_a_program_that_has_ended_is_no(self):
        self.serve(address="127.0.0.1:0")
        self.server.signal(signal.SIGTERM)
        self.server.wait_exit()
        self.assertEqual(self.admin.ctl("health").returncode, 3)

    def test_the_address_is_that_of_the_configuration(self):
        self.serve()
        self.assertEqual(ctl("-c", self.server.config_file, "status").returncode, 0)
        self.assertEqual(ctl("status", "--config", self.server.config_file).returncode, 0)

    def test_reload_waits_until_the_new_files_are_in_use(self):
        self.serve()
        pki.server().write(self.path("main"))
        mark = self.server.mark()
        done = self.admin.ctl("reload")
        self.assertEqual((done.returncode, done.stdout), (0, "reloaded\n"))
        self.server.wait("reload done", since=mark)

    def test_reload_prints_the_refusal(self):
        self.serve()
        self.write("main/cert.pem", "garbage\n")
        done = self.admin.ctl("reload")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        refusal = self.server.wait("reload refused")["message"]
        self.assertEqual(done.stderr, "postern ctl: reload refused: " + refusal + "\n")
        self.assertIn("; the previous configuration stays in effect\n", done.stderr)

    def test_many_reloads_at_once_all_get_their_answer(self):
        self.serve()
        results = []
        threads = [threading.Thread(target=lambda: results.append(self.admin.post("/reload").status))
                   for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, [200] * 12)

    def test_drain_disconnects_clients_and_ends_the_program(self):
        self.serve(main={"drain_timeout": "500ms"})
        client = self.talk()
        done = self.admin.ctl("drain")
        self.assertEqual((done.returncode, done.stdout), (0, "draining\n"))
        self.assertEqual(self.server.wait_exit(), 0)
        self.assertEqual(self.server.end_of(client)["reason"], "drained")

    def test_drain_twice_does_not_hurry(self):
        self.serve(main={"drain_timeout": "1h"})
        clients = [self.talk() for _ in range(10)]
        for _ in range(2):
            self.assertEqual(self.admin.ctl("drain").returncode, 0)
        self.server.wait("stopping")
        self.assertRaises(AssertionError, self.server.wait, "nothing", timeout=0.3)
        self.assertLess(len(self.server.all("session end")), 5)
        for client in clients:
            client.cut()
        self.assertEqual(self.server.wait_exit(), 0)

    def test_nobody_to_ask_is_exit_code_3(self):
        for address in ("127.0.0.1:1", "unix:" + self.path("none.sock")):
            done = ctl("--admin", address, "status")
            self.assertEqual(done.returncode, 3)
            self.assertIn("cannot connect", done.stderr)
        text = self.config(self.fake_broker(echo))
        done = ctl("-c", self.write("postern.conf", text), "status")
        self.assertEqual(done.returncode, 3)
        self.assertIn("postern.conf: has no admin", done.stderr)
        self.assertIn("if the file is damaged, name the socket of the running one with --admin",
                      done.stderr)

    def test_without_a_configuration_it_says_what_ctl_needs(self):
        """And not what a Postern would need."""
        file = self.path("none.conf")
        done = ctl("-c", file, "status")
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        for words in (f"{file}: cannot read it: No such file", "-c FILE", "--admin ADDR"):
            self.assertIn(words, done.stderr)
        for words in ("--cert", "--key"):
            self.assertNotIn(words, done.stderr)

    def unix_server(self, folder, user=None):
        """Something that says it is alive; of another user, as the system sees it."""
        def alive(peer):
            peer.recv()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nalive\n")

        broker = self.fake_broker(alive, path=self.path(f"{folder}/admin.sock"), up=False)
        os.seteuid(user if user is not None else os.geteuid())
        try:
            broker.up()
        finally:
            os.seteuid(os.getuid())
        return broker.address

    def test_who_answers_must_be_root_the_caller_or_the_owner_of_the_folder(self):
        os.mkdir(self.path("run"))
        done = ctl("--admin", self.unix_server("run"), "health")
        self.assertEqual((done.returncode, done.stdout), (0, "alive\n"), done.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_another_user_who_answers_is_not_believed(self):
        os.chmod(self.folder, 0o755)
        for folder, owner, user, code in (("a", 0, NOBODY, 3), ("b", NOBODY, NOBODY, 0),
                                          ("c", NOBODY, NOBODY + 1, 3), ("d", NOBODY, 0, 0)):
            with self.subTest(folder):
                os.mkdir(self.path(folder))
                os.chown(self.path(folder), owner, owner)
                done = ctl("--admin", self.unix_server(folder, user), "health")
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertEqual(done.stdout, "alive\n" if code == 0 else "")
                self.assertEqual(f"the process that listens there is of user {user}" in done.stderr,
                                 code == 3)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_nor_is_the_owner_of_a_folder_that_anybody_could_have_made(self):
        os.mkdir(self.path("tmp"))
        os.chmod(self.path("tmp"), 0o1777)
        os.mkdir(self.path("tmp/run"))
        os.chown(self.path("tmp/run"), NOBODY, NOBODY)
        done = ctl("--admin", self.unix_server("tmp/run", NOBODY), "health")
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn(f"{self.path('tmp/run')} belongs to user {NOBODY}", done.stderr)

    def test_control_characters_of_an_answer_are_escaped(self):
        evil = b'{"listener":"\x1b[2J\xc2\x9b\x7f\r\xff \xe2\x80\xae \xc3\xbc"},\n'
        shown = '{"listener":"\\u001b[2J\\u009b\\u007f\\u000d\\xff \\u202e \u00fc"}'
        for verb, status, code in (("status", 200, 1), ("status", 503, 1), ("health", 200, 0),
                                   ("health", 503, 1), ("reload", 200, 0), ("reload", 422, 1),
                                   ("sessions", 200, 0), ("sessions", 500, 1)):
            def answer(peer, status=status):
                peer.recv()
                peer.send(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s"
                          % (status, len(evil), evil))

            with self.subTest(verb, status=status):
                done = ctl("--admin", self.fake_broker(answer).address, verb)
                self.assertEqual(done.returncode, code)
                self.assertIn(shown, done.stdout + done.stderr)
                self.assertNotRegex(done.stdout + done.stderr, r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")

    def test_a_refusal_shows_what_a_file_has_without_obeying_it(self):
        self.serve()
        with open(self.server.config_file, "a", encoding="utf-8") as file:
            file.write("\x1b[2J = 1\n")
        done = self.admin.ctl("reload")
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("\x1b", done.stderr)
        self.assertIn("[2J", done.stderr)

    def test_an_address_where_something_else_answers_is_exit_code_3(self):
        def other(peer):
            peer.recv()
            peer.send(b"220 mail.example.org ESMTP\r\n")

        done = ctl("--admin", self.fake_broker(other).address, "status")
        self.assertEqual((done.returncode, done.stdout), (3, ""))

    def test_a_wrong_command_line_is_exit_code_2(self):
        for arguments in ((), ("nonsense",), ("status", "more"), ("--nonsense", "status"),
                          ("-c", "a", "--admin", "127.0.0.1:1", "status"),
                          ("--admin", "nonsense", "status")):
            self.assertEqual(ctl(*arguments).returncode, 2, arguments)
        self.assertEqual(ctl("--help").returncode, 0)


class Load(Served):
    def test_it_is_answered_while_clients_come_and_go_and_nothing_is_lost(self):
        """With sanitizers this looks for races between the admin thread and the workers."""
        self.serve()
        stop, failures = threading.Event(), []

        def ask():
            while not stop.is_set():
                try:
                    for path in ("/metrics", "/sessions?limit=3", "/status", "/health"):
                        answer = self.admin.get(path)
                        if answer.status != 200:
                            failures.append((path, answer.status, answer.text))
                    self.admin.post("/reload")
                except OSError as error:
                    failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        context = tls_context(pki.authority().pem)
        try:
            for number in range(60):
                client = TlsClient(self.server.address(), context)
                client.send(b"x" * number)
                self.assertEqual(client.recv_exactly(number), b"x" * number)
                client.close()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])


if __name__ == "__main__":
    main()
