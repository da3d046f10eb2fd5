"""Throw-away certificates by the openssl command: nothing in the tree can expire."""
from processes import run

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Authority:
    def __init__(self, directory):
        self._directory = directory
        self.file = directory / "authority.crt"
        run(["openssl", "req", "-x509", *NEW_KEY, "-days", "2", "-subj", "/CN=a test authority",
             "-keyout", directory / "authority.key", "-out", self.file])

    def issue(self, name, host):
        """Certificate and key file of `host`."""
        files = {ending: self._directory / f"{name}.{ending}" for ending in ("crt", "key", "csr")}
        run(["openssl", "req", "-new", *NEW_KEY, "-subj", f"/CN={name}", "-addext",
             f"subjectAltName=DNS:{host}", "-keyout", files["key"], "-out", files["csr"]])
        run(["openssl", "x509", "-req", "-in", files["csr"], "-CA", self.file, "-CAkey",
             self._directory / "authority.key", "-CAcreateserial", "-days", "2",
             "-copy_extensions", "copy", "-out", files["crt"]])
        return files["crt"], files["key"]
