/** An EC2 instance and the host in it: what its remediations ask alike. */
import { NotFound, noneIfGone } from './errors.ts';
import type { Attempt } from './incident.ts';
import type { HostRun, Instance, Ports, Volume } from './ports.ts';

export const isGone = ({ state }: Pick<Instance, 'state'>): boolean =>
  state === 'terminated' || state === 'shutting-down';

/** @throws NotFound also while it is being terminated: nothing of it can be mended any more */
export const livingInstance = async (id: string, { instances }: Pick<Ports, 'instances'>): Promise<Instance> => {
  const instance = await instances.describe(id);
  if (isGone(instance)) throw new NotFound(`${id} is ${instance.state}`);
  return instance;
};

/** None, where one was detached and deleted meanwhile: the instance is still there. */
export const volumesThere = async (
  ids: readonly string[],
  { volumes }: Pick<Ports, 'volumes'>,
): Promise<readonly Volume[]> => (ids.length > 0 ? volumes.describe(ids).catch(noneIfGone) : []);

/** The command that an attempt sent to the host, if it sent one. */
export const commandIdOf = (attempt: Attempt<unknown> | undefined): string | undefined =>
  (attempt?.receipt as { commandId?: string } | undefined)?.commandId;

/** An inspection's report, or why there is none. */
export const inspected = <R>(
  run: HostRun<R>,
): { readonly report: R; readonly blind: undefined } | { readonly report: undefined; readonly blind: string } =>
  run.state === 'done'
    ? { report: run.report, blind: undefined }
    : { report: undefined, blind: run.state === 'running' ? 'its SSM agent has not answered yet' : run.message };
