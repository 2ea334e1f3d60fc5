#!/usr/bin/env python3
"""Checks a proof that an event is in an activity log, with Python and openssl alone: python3 check-proof.py proof.json key.pem

The key is the log's public key, had from its owner once. The checkpoint in the proof should be one that you, or someone you trust, kept.
"""
import base64, hashlib, json, subprocess, sys, tempfile


def sha(data): return hashlib.sha256(data).digest()


def root(leaf, at):
    """RFC 9162, 2.1.3.2: the root that the path leads to from this leaf."""
    n, last, h = at["index"], at["size"] - 1, sha(b"\x00" + leaf)
    path = base64.b64decode(at["path"])
    for i in range(0, len(path), 32):
        sibling = path[i:i + 32]
        if n % 2 == 1 or n == last:
            h = sha(b"\x01" + sibling + h)
            while n % 2 == 0 and n != 0:
                n, last = n >> 1, last >> 1
        else:
            h = sha(b"\x01" + h + sibling)
        n, last = n >> 1, last >> 1
    return h if last == 0 else b""


def signed(text, signature, key):
    """openssl's word: Ed25519, or ECDSA with SHA-256."""
    kind = subprocess.run(["openssl", "pkey", "-pubin", "-in", key, "-noout", "-text"], capture_output=True, text=True).stdout
    with tempfile.NamedTemporaryFile() as message, tempfile.NamedTemporaryFile() as sig:
        message.write(text), message.flush(), sig.write(signature), sig.flush()
        by = (["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", key, "-rawin", "-in", message.name, "-sigfile", sig.name]
              if "ED25519" in kind.upper() else
              ["openssl", "dgst", "-sha256", "-verify", key, "-signature", sig.name, message.name])
        return subprocess.run(by, capture_output=True).returncode == 0


def opened(note, key):
    """What a checkpoint says: the text, how many links the log has, their root; and whether the key has signed it."""
    text, _, signatures = note.rpartition("\n\n")
    text = (text + "\n").encode()
    _, size, log_root = text.decode().split("\n")[:3]
    is_signed = any(signed(text, base64.b64decode(s.split()[2])[4:], key) for s in signatures.splitlines() if s)
    return text.decode(), int(size), log_root, is_signed


if __name__ == "__main__":
    proof = json.load(open(sys.argv[1], encoding="utf-8"))
    event = proof["event"].encode() if "event" in proof else base64.b64decode(proof["event64"])
    text, size, log_root, is_signed = opened(proof["checkpoint"], sys.argv[2])
    checks = {
        "the event is in the segment": base64.b64encode(root(event, proof["segment"])).decode() == json.loads(proof["link"])["root"],
        "the segment is in the log": base64.b64encode(root(proof["link"].encode(), proof["log"])).decode() == log_root and size == proof["log"]["size"],
        "the key has signed the log": is_signed,
    }
    for what, is_so in checks.items(): print("yes" if is_so else "NO ", what)
    print(text)
    sys.exit(0 if all(checks.values()) else 1)
