#!/usr/bin/env python3
"""Checks an export of an activity log. Needs nothing of Steward's: Python, openssl, and check-proof.py beside it.

    python3 check-export.py export/manifest.json key.pem

The key is the log's public key, had from its owner once. The checkpoint in the manifest should be one that you, or someone you trust, kept.
"""
import base64, csv, hashlib, json, os, runpy, sys

proof = runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "check-proof.py"))
sha, root, opened = proof["sha"], proof["root"], proof["opened"]


def tree(leaves):
    """RFC 9162, 2.1.1: the root of a tree of these hashes."""
    if len(leaves) == 1: return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return sha(b"\x01" + tree(leaves[:half]) + tree(leaves[half:]))


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


def check_export(file, key):
    manifest = json.load(open(file, encoding="utf-8"))
    beside = {f["is"]: os.path.join(os.path.dirname(file), f["name"]) for f in manifest["files"]}
    text, size, log_root, is_signed = opened(manifest["checkpoint"], key)
    segments, in_segment, in_log, unsigned, others = {}, True, True, 0, 0
    for one in (json.loads(line) for line in open(beside["segments"], encoding="utf-8")):
        link, packed = json.loads(one["link"]), base64.b64decode(one["leaves"])
        leaves = [packed[i:i + 32] for i in range(0, len(packed), 32)]
        in_segment &= len(leaves) == link["count"] and base64.b64encode(tree(leaves)).decode() == link["root"]
        in_segment &= one["segment"] == "%s/%d" % (link["shard"], link["seq"])
        if "log" in one:
            in_log &= base64.b64encode(root(one["link"].encode(), one["log"])).decode() == log_root and size == one["log"]["size"]
        else: unsigned += 1
        segments[one["segment"]] = leaves
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


text, checks = check_export(*sys.argv[1:3])
for what, is_so in checks.items(): print("yes" if is_so else "NO ", what)
print(text)
sys.exit(0 if all(checks.values()) else 1)
