"""Osmocom's STP (Debian's osmo-stp): its config, and the program."""
import shutil

from processes import Skipped, patience

M3UA_PORT = 2905


def point_code(number):
    """As its config writes them: 3-8-3 bits."""
    return f"{number >> 11 & 7}.{number >> 3 & 255}.{number & 7}"


class OsmoStp:
    """One osmo-stp. `asps`: (name, remote address, remote port) of the ASPs that connect to it;
    `gateway`: (address, port, own port) of the gateway it is itself an ASP of; `servers`: (name,
    routing context, point code, ASP) of its application servers, "gateway" being the ASP it is
    itself; `default_route`: the server that takes every other point code.
    """

    def __init__(self, programs, address, asps=(), servers=(), gateway=None, default_route=None):
        if shutil.which("osmo-stp") is None:
            raise Skipped("osmo-stp is not installed (scripts/install-dependencies interop)")
        self.servers = servers
        lines = [
            "log stderr",
            " logging filter all 1",
            " logging color 0",
            " logging print category 1",
            " logging level set-all notice",
            " logging level lm3ua info",
            "line vty",
            " no login",
            f" bind {address} 4239",
            "cs7 instance 0",
            " xua rkm routing-key-allocation static-only",
            " point-code 7.255.7",
        ]
        for name, remote, port in asps:
            lines += [f" asp {name} {port} {M3UA_PORT} m3ua", f"  remote-ip {remote}",
                      f"  local-ip {address}", "  role sg", "  sctp-role server"]
        if gateway is not None:
            remote, port, own_port = gateway
            lines += [f" asp gateway {port} {own_port} m3ua", f"  remote-ip {remote}",
                      f"  local-ip {address}", "  role asp", "  sctp-role client"]
        for name, context, code, asp in servers:
            lines += [f" as {name} m3ua", f"  asp {asp}", "  traffic-mode override",
                      f"  routing-key {context} {point_code(code)}"]
        lines.append(" route-table system")
        for name, _, code, _ in servers:
            if name != default_route:
                lines.append(f"  update route {point_code(code)} 7.255.7 linkset {name}")
        if default_route is not None:
            lines.append(f"  update route 0.0.0 0.0.0 linkset {default_route}")
        lines += [f" listen m3ua {M3UA_PORT}", f"  local-ip {address}",
                  "  accept-asp-connections pre-configured"]
        config = programs.directory / "osmo-stp.cfg"
        config.write_text("\n".join(lines) + "\n")
        self.process = programs.start("osmo-stp", ["osmo-stp", "-c", config])
        self.process.wait_for("Available via telnet", 10 * patience())

    def wait_until_active(self, seconds):
        """Until the gateway has told it that its application server is active."""
        self.process.wait_for(r"Received NOTIFY Type State Change:AS Active", seconds * patience())
