/**
 * The records of a CloudTrail file, `{"Records":[…]}`, each as its own bytes, while the file streams in: memory holds one chunk and one record, whatever the
 * file's size (CloudTrail's reach 50 MB compressed). JSON.parse would need the whole file and could not give the bytes back.
 */
import { InvalidInput } from '../core/errors.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
/** One record of more than this is no record; CloudTrail's largest are 1 MB. */
const LARGEST = 16 << 20;
/** The depth of the records: in the file's object, in its list. */
const RECORDS = 2;

const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
const opens = (byte: number): boolean => byte === 0x7b || byte === 0x5b;
const closes = (byte: number): boolean => byte === 0x7d || byte === 0x5d;

/** Where the reading stands: what of the file has been understood so far. */
class Reader {
  buffer: Buffer = Buffer.alloc(0);
  at = 0;
  depth = 0;
  /** Where the record under way begins in `buffer`; -1: none does. */
  start = -1;
  inList = false;
  ended = false;
  private done: Buffer | undefined;

  feed(chunk: Uint8Array): void {
    const rest = this.start < 0 ? this.buffer.subarray(this.at) : this.buffer.subarray(this.start);
    this.at -= this.buffer.length - rest.length;
    this.start = Math.min(this.start, 0);
    this.buffer =
      rest.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : Buffer.concat([rest, chunk]);
  }

  /** Past the string that begins at `at`; false if the buffer ends before it does. */
  private skipString(): boolean {
    for (let end = this.buffer.indexOf(QUOTE, this.at + 1); end >= 0; end = this.buffer.indexOf(QUOTE, end + 1)) {
      let slashes = 0;
      while (this.buffer[end - 1 - slashes] === BACKSLASH) slashes++;
      if (slashes % 2 === 1) continue;
      this.at = end + 1;
      return true;
    }
    return false;
  }

  private endOf(record: number): Buffer | undefined {
    let end = this.at;
    while (isSpace(this.buffer[end - 1])) end--;
    this.start = -1;
    return record < 0 ? undefined : this.buffer.subarray(record, end);
  }

  private nest(byte: number): void {
    if (opens(byte)) {
      this.depth++;
      if (this.depth === RECORDS) this.inList = byte === 0x5b;
    } else if (closes(byte)) {
      this.depth--;
      this.ended = this.depth === 0;
    }
  }

  /** Past one byte, or one string; false: more bytes are needed. A record that ends here is left in `done`. */
  private step(byte: number): boolean {
    const between = this.depth === RECORDS && this.inList;
    const ends = between && (byte === COMMA || closes(byte));
    if (between && this.start < 0 && !ends && !isSpace(byte)) this.start = this.at;
    if (byte === QUOTE) return this.skipString();
    if (ends) this.done = this.endOf(this.start);
    this.nest(byte);
    this.at++;
    return true;
  }

  /** The next record that is whole; undefined: more bytes are needed. */
  next(): Buffer | undefined {
    this.done = undefined;
    while (!this.done && this.at < this.buffer.length) if (!this.step(this.buffer[this.at] as number)) break;
    return this.done;
  }
}

/** @throws InvalidInput if the file is no list of records, or ends before it should; the records before that have been given */
export async function* recordsOf(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Buffer> {
  const reader = new Reader();
  let given = 0;
  for await (const chunk of chunks) {
    reader.feed(chunk);
    for (let record = reader.next(); record; record = reader.next()) {
      given++;
      yield record;
    }
    if (reader.buffer.length - reader.at > LARGEST || (reader.start >= 0 && reader.at - reader.start > LARGEST))
      throw new InvalidInput(`record ${given + 1} of the file is longer than ${LARGEST} bytes`);
  }
  if (!reader.ended || reader.depth !== 0)
    throw new InvalidInput(`the file ends after ${given} records, before its own end: it is no whole list of records`);
}
