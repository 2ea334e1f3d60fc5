/**
 * One of the fleet's instances with a real Linux behind it: its commands run the host documents on a User Mode Linux with a disk of the volume's size. What
 * that kernel cannot have is said: its disks have no serial number, so the volume's id is put into the report; and they take their size at boot, so
 * the host is booted again after its volume has grown.
 */
import { rmSync } from 'node:fs';
import type { DocumentName } from '../shared/core/documents.ts';
import { bootHost, type HostMachine, makeDisk, prepare } from '../test/host/uml.ts';
import { hostOf } from '../world/fleet.ts';
import type { Run } from '../world/hosts.ts';
import { type Sandbox, WORK } from './start.ts';

export interface RealHost {
  /** `df` of the file system, as the host prints it. */
  df(): Promise<string>;
  stop(): Promise<void>;
}

const GiB = 1024;

/** @returns the host, or why there is none */
export const realHost = async (
  sandbox: Sandbox,
  instanceId: string,
  path: string,
  usedPercent: number,
): Promise<RealHost | string> => {
  const missing = prepare();
  if (missing) return missing;
  const { world } = sandbox;
  const layer = hostOf(world, instanceId)
    .fileSystems.find((f) => f.path === path)
    ?.layers.find((l) => l.kind === 'disk');
  const volume = layer?.kind === 'disk' ? world.ec2.volumes.get(layer.volumeId ?? '') : undefined;
  if (layer?.kind !== 'disk' || !volume) return `${path} of ${instanceId} stands on no volume`;
  const image = `${WORK}real-disk.img`;
  rmSync(image, { force: true });
  makeDisk(image, volume.size * GiB);
  let size = volume.size;
  const mount = `mkdir -p ${path}; mount /dev/ubda ${path}`;
  let machine: HostMachine = await bootHost({ disks: [image] });
  await machine.must(
    `mkfs.xfs -q /dev/ubda; ${mount}; fallocate -l ${Math.floor(volume.size * usedPercent * 10)}M ${path}/filler`,
  );

  const grown = async (): Promise<void> => {
    await machine.exec(`umount ${path}; sync`);
    await machine.stop();
    makeDisk(image, volume.size * GiB);
    size = volume.size;
    machine = await bootHost({ disks: [image] });
    await machine.must(mount);
  };
  const run = async (document: string, given: Readonly<Record<string, readonly string[]>>): Promise<Run> => {
    if (volume.size > size) await grown();
    const name = document.split(/steward-[^-]+-/).at(-1) as DocumentName;
    const values = Object.fromEntries(Object.entries(given).map(([k, [v = '']]) => [k, v]));
    // The harness encodes the mount itself.
    const { Mount, ...rest } = values;
    const { stdout, stderr, exitCode } = await machine.run(
      name,
      Mount === undefined ? rest : { ...rest, Mount: Buffer.from(Mount, 'base64').toString('utf8') },
    );
    const identified = stdout.replaceAll(
      /"name":"ubda","sizeBytes":(\d+),"volumeId":null/g,
      `"name":"${layer.name}","sizeBytes":$1,"volumeId":"${volume.id}"`,
    );
    return { status: exitCode === 0 ? 'Success' : 'Failed', stdout: identified, stderr, exitCode };
  };
  // One command after the other, as the agent does it.
  let stopped = false;
  let last: Promise<unknown> = Promise.resolve();
  world.hostRunner = (id, document, parameters) => {
    if (id !== instanceId) return undefined;
    const next = last.then(() => run(document, parameters));
    last = next.catch(() => {});
    return next;
  };
  return {
    df: async () => (await machine.must(`df -h ${path} | tail -n 1`)).trim(),
    stop: async () => {
      if (stopped) return;
      stopped = true;
      world.hostRunner = undefined;
      await last;
      await machine.stop();
      rmSync(image, { force: true });
    },
  };
};
