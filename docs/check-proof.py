#!/usr/bin/env python3
"""Checks a proof that an event is in an activity log, or an export of one. Needs nothing of Steward's: Python and openssl.

    python3 check-proof.py proof.json key.pem
    python3 check-proof.py --export export/manifest.json key.pem

The key is the log's public key, had from its owner once. The checkpoint in the proof should be one that you, or someone you trust, kept.
"""
import base64, csv, hashlib, json, os, subprocess, sys, tempfile


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


def tree(leaves):
    """RFC 9162, 2.1.1: the root of a tree of these hashes."""
    if len(leaves) == 1: return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return sha(b"\x01" + tree(leaves[:half]) + tree(leaves[half:]))


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


def bytes_of(line): return base64.b64decode(line["event64"]) if line.get("event64") else line["event"].encode()


def lines_of(file):
    """Of an export's events, in either format: one by one."""
    if file.endswith(".csv"):
        csv.field_size_limit(1 << 30)
        yield from csv.DictReader(open(file, encoding="utf-8", newline=""))
    else:
        yield from (json.loads(line) for line in open(file, encoding="utf-8", newline="\n"))


def file_hash(file):
    h = hashlib.sha256()
    with open(file, "rb") as f:
        for part in iter(lambda: f.read(1 << 20), b""): h.update(part)
    return h.hexdigest()


def check_proof(file, key):
    proof = json.load(open(file, encoding="utf-8"))
    link = json.loads(proof["link"])
    text, size, log_root, is_signed = opened(proof["checkpoint"], key)
    return text, {
        "the event is in the segment": base64.b64encode(root(bytes_of(proof), proof["segment"])).decode() == link["root"],
        "the segment is in the log": base64.b64encode(root(proof["link"].encode(), proof["log"])).decode() == log_root and size == proof["log"]["size"],
        "the key has signed the log": is_signed,
    }


def check_export(file, key):
    manifest = json.load(open(file, encoding="utf-8"))
    beside = {f["is"]: os.path.join(os.path.dirname(file), f["name"]) for f in manifest["files"]}
    text, size, log_root, is_signed = opened(manifest["checkpoint"], key)
    segments, in_segment, in_log, unsigned, others = {}, True, True, 0, 0
    for proof in (json.loads(line) for line in open(beside["segments"], encoding="utf-8")):
        link, packed = json.loads(proof["link"]), base64.b64decode(proof["leaves"])
        leaves = [packed[i:i + 32] for i in range(0, len(packed), 32)]
        in_segment &= len(leaves) == link["count"] and base64.b64encode(tree(leaves)).decode() == link["root"]
        in_segment &= proof["segment"] == "%s/%d" % (link["shard"], link["seq"])
        if "log" in proof:
            in_log &= base64.b64encode(root(proof["link"].encode(), proof["log"])).decode() == log_root and size == proof["log"]["size"]
        else: unsigned += 1
        segments[proof["segment"]] = leaves
        others += len(leaves)
    seen, count, once, order, are_there, last = set(), 0, True, True, True, ""
    for line in lines_of(beside["events"]):
        segment, _, n = line["place"].rpartition("/")
        leaves = segments.get(segment, [])
        are_there &= int(n) < len(leaves) and leaves[int(n)] == sha(b"\x00" + bytes_of(line))
        once &= line["place"] not in seen
        time = line.get("time") or "~"
        order &= last <= time and (time == "~" or manifest["from"] <= time <= manifest["to"])
        seen.add(line["place"])
        count, last = count + 1, time
    print("%d events of %d segments; of %d other events of these segments only the hashes are here" % (count, len(segments), others - count))
    for gap in manifest["coverage"]["gaps"]: print("may be missing: %s to %s, %s: %s" % (gap["from"], gap["to"], ", ".join(gap["places"]), gap["because"]))
    if unsigned: print("%d segments are younger than the checkpoint" % unsigned)
    for segment in manifest["absent"]: print("not here: what segment %s may hold" % segment)
    return text, {
        "the files are as the manifest says": all(file_hash(os.path.join(os.path.dirname(file), f["name"])) == f["sha256"] for f in manifest["files"]) and count == manifest["events"],
        "each event is in its segment, once": are_there and once and in_segment,
        "they are in order, and of the time asked for": order,
        "the segments are in the log": in_log and unsigned == manifest["unsigned"],
        "the key has signed the log": is_signed,
    }


is_export = sys.argv[1] == "--export"
text, checks = check_export(*sys.argv[2:4]) if is_export else check_proof(*sys.argv[1:3])
for what, is_so in checks.items():
    print("yes" if is_so else "NO ", what)
print(text)
sys.exit(0 if all(checks.values()) else 1)
