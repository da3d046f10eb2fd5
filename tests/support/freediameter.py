"""freeDiameter (Debian's freediameterd) as a relay, with every message in its log."""
import pathlib
import shutil

from processes import Skipped, patience, run

EXTENSIONS = pathlib.Path("/usr/lib/freeDiameter")


class FreeDiameter:
    """A relay that connects to `server` and admits everybody of `realms`.

    It needs no dictionary to relay. `watchdog_s`: its Tw, 6 s at least (RFC 3539 §3.4.1).
    `credentials`: certificate, key and CA files, with which it speaks TLS to `server` from the first
    byte on (RFC 6733 §13.1).
    """

    IDENTITY = "relay.epc.mnc001.mcc001.3gppnetwork.org"
    REALM = "epc.mnc001.mcc001.3gppnetwork.org"

    def __init__(self, programs, server, server_port, port, realms, transport="tcp", watchdog_s=30,
                 log_messages=True, credentials=None):
        if shutil.which("freeDiameterd") is None:
            raise Skipped("freeDiameterd is not installed (scripts/install-dependencies interop)")
        directory = programs.directory
        security = ""
        if credentials is None:
            # It insists on credentials, even where every connection goes without TLS.
            run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                 f"/CN={self.IDENTITY}", "-keyout", directory / "relay.key", "-out",
                 directory / "relay.crt"])
            credentials = [directory / name for name in ("relay.crt", "relay.key", "relay.crt")]
            security = "No_TLS; "
        certificate, key, authority = credentials
        # No TLS is what it calls IPsec.
        admitted = "".join(f"ALLOW_IPSEC *.{realm}\n" for realm in realms)
        (directory / "relay-peers.conf").write_text(admitted)
        lines = [
            f'Identity = "{self.IDENTITY}";',
            f'Realm = "{self.REALM}";',
            f"Port = {port};",
            "SecPort = 0;",
            "No_SCTP;" if transport == "tcp" else "No_TCP;",
            "No_IPv6;",
            f"TwTimer = {watchdog_s};",
            "TcTimer = 6;",
            f'TLS_Cred = "{certificate}", "{key}";',
            f'TLS_CA = "{authority}";',
            f'LoadExtension = "{EXTENSIONS}/acl_wl.fdx" : "{directory}/relay-peers.conf";',
        ]
        if log_messages:
            # One line for every message sent or received, nothing else.
            lines.append(f'LoadExtension = "{EXTENSIONS}/dbg_msg_dumps.fdx" : "0x1121";')
        lines.append(
            f'ConnectPeer = "{server}" {{ ConnectTo = "127.0.0.1"; {security}Port = {server_port}; }};'
        )
        config = directory / "relay.conf"
        config.write_text("\n".join(lines) + "\n")
        self.process = programs.start("relay", ["freeDiameterd", "-c", config])
        self.process.wait_for("daemon initialized", 20 * patience())

    def wait_for_peer(self, host, seconds):
        self.process.wait_for(rf"-> 'STATE_OPEN'\s+'{host}'", seconds * patience())

    def wait_for_message(self, direction, peer, command, request, seconds, times=1):
        """Waits until it has sent ("SND to") or received ("RCV from") such a message."""
        self.process.wait_for(self._line(direction, peer, command, request), seconds * patience(),
                              times)

    @staticmethod
    def _line(direction, peer, command, request):
        return rf"{direction} '{peer}': .*/{command} f:{'R' if request else '-'}"

    def count(self, direction, peer, command, request):
        return self.process.count(self._line(direction, peer, command, request))
