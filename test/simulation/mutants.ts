/**
 * Shows that the simulation of the engine bites: each mutant breaks one rule in its source, and some seed must find it. A mutant's text is looked
 * for literally; one whose text is gone fails loudly and must be pointed at the new place.
 */
import type { Mutant } from './hunt.ts';

const mutant = (name: string, file: string, seed: number, ...edits: Mutant['edits']): Mutant => ({
  model: 'engine',
  name,
  file,
  edits,
  seed,
});
const GATE = 'shared/core/gate.ts';
const GUARDS = 'shared/core/guards.ts';
const PASS = 'shared/core/pass.ts';
const STORM = 'shared/core/storm.ts';
const STEP = 'shared/core/step.ts';
const UNDO = 'shared/core/undo.ts';
const REMEDIATION = 'shared/core/remediation.ts';
const HEAL = 'shared/runtime/heal.ts';
const SWEEP = 'shared/runtime/sweep.ts';

export const mutants: readonly Mutant[] = [
  mutant('no lease is taken', GATE, 31, ['    lease,\n    recent: [', '    recent: [']),
  mutant('the lease of another is no obstacle', GUARDS, 31, [
    'if (!lease || lease.incident === p.incident.id)',
    'if (lease !== null)',
  ]),
  mutant(
    'versions are not checked when an attempt is reserved',
    GATE,
    12,
    [
      "import { iso, minutes, type Time } from './time.ts';",
      "import { iso, minutes, type Time } from './time.ts';\nimport { refOf } from './store.ts';",
    ],
    [
      '  await store.write(...changes);\n  return',
      `  const put = changes.map((c) => ('put' in c ? c.put : undefined)).filter((c) => c !== undefined);
  const now = await store.read(...put.map((c) => refOf(c)));
  await store.write(...put.map((c, i) => ({ put: { ...c, version: now[i]?.version ?? 0 } })) as never);
  return`,
    ],
  ),
  mutant('it acts, then writes', PASS, 3, [
    '    reserved = await reserve(',
    `    const early = await deps.reach(work.remediation, work.target, { phase: 'act', touched: [] });
    await work.remediation.run(act.step, early, incident.id + '-' + (incident.attempts.length + 1)).catch(() => {});
    reserved = await reserve(`,
  ]),
  mutant('the outcome is not written', GATE, 3, [
    '      await store.write({ put: next });\n      break;',
    '      break;',
  ]),
  mutant('the budget is ignored', GUARDS, 3, [
    'if (others.length < allowed) return count;',
    'if (allowed > 0) return count;',
  ]),
  mutant('the last that serves is taken', GUARDS, 196, ['if (others.length > 0) return `', 'if (p.now > 0) return `']),
  mutant('the budget is counted per pass', GATE, 3, ['...(hasPlace(p) ? [] : [', '...(p.now > 0 ? [] : [']),
  mutant('a place in the budget ends while the step still works', GATE, 40, [
    "if (lease.until > now || incident?.state === 'waiting' || incident?.state === 'acting') return true;",
    'if (now > 0) return lease.until > now;',
  ]),
  mutant(
    'what an incident held is never free again',
    GATE,
    3,
    ["  if (incident?.state === 'closed' || incident?.state === 'escalated') return false;\n", ''],
    ["  if (incident?.state === 'open' && last?.effect !== undefined) return false;\n", ''],
    ['  if (lease.until > now ||', '  if (lease.until > 0 ||'],
  ),
  mutant(
    'what is done is not put on the chart',
    GATE,
    11,
    [
      '      {\n        remediation: p.remediation.name,\n        incident: incident.id,\n        rung: p.act.rung,',
      '      ...[].map(() => ({})), ...[] as never[], ...([{\n        remediation: p.remediation.name,\n        incident: incident.id,\n        rung: p.act.rung,',
    ],
    [
      'counted: !p.act.continues && p.undoes === undefined,\n      },',
      'counted: !p.act.continues && p.undoes === undefined,\n      }] as never[]).slice(1),',
    ],
  ),
  mutant('the cost is not booked', GATE, 27, [
    '...(p.act.cost ? [{ put: { ...p.ledger',
    '...(p.act.cost && p.now < 0 ? [{ put: { ...p.ledger',
  ]),
  mutant('the cost of an unknown outcome is taken back', GATE, 40, [
    "if (kind === 'transient' || kind === 'permanent') await takeBack",
    "if (kind !== 'done') await takeBack",
  ]),
  mutant('a yes is good for ever', GATE, 137, [
    'const { ask: _ask, approval: _approval, remedy: _remedy, ...kept } = p.incident;',
    'const { ask: _ask, remedy: _remedy, ...kept } = p.incident;',
  ]),
  mutant('a reserved step keeps a due time that is far off', GATE, 2, [
    'dueAt: isSoon(p.incident.dueAt - p.now) ? p.incident.dueAt : p.now + minutes(5),',
    'dueAt: p.incident.dueAt >= p.now + minutes(3) ? p.incident.dueAt : p.now + minutes(5),',
  ]),
  mutant('the switches are ignored', GUARDS, 5, [
    '  return pauses.find(',
    '  return [pauses[9]].find(() => false) ?? [].find(',
  ]),
  mutant('the switches are not read again before the step', STEP, 9, [
    '  if (pause) return',
    '  if (pause && !pause) return',
  ]),
  mutant('excluded targets are in scope', GUARDS, 77, [
    "if (ignored !== undefined && ignored.toLowerCase() !== 'false')",
    'if (ignored === null)',
  ]),
  mutant('watching is acting', GUARDS, 2, [
    "    case 'watch':\n      return wait(",
    "    case 'watch':\n      return p.now > 0 ? 'it may' : wait(",
  ]),
  mutant('a no is ignored', GUARDS, 20, [
    'incident.denied.step === step && incident.denied.until > now',
    'incident.denied.until < 0',
  ]),
  mutant('a yes to one step is a yes to any', GUARDS, 45, ['    yes.step === stepText(act.step) &&\n', '']),
  mutant('who asks may approve', GUARDS, 114, [
    ' &&\n    !(asker !== undefined && mayBeOne(asker, yes.by, policy.links))',
    '',
  ]),
  mutant('old signals act at once', GUARDS, 22, [
    'if (age > limit && p.incident.looks < 2)',
    'if (age > limit && p.incident.looks < 0)',
  ]),
  mutant('freezes are ignored', GUARDS, 15, [
    'for (const w of p.policy.freeze) {',
    'for (const w of p.policy.freeze.slice(9)) {',
  ]),
  mutant('what destroys needs no maintenance window', GUARDS, 37, [
    "riskOf(p.remediation, p.act.rung) === 'harmless' || p.policy.maintenance.length === 0",
    "riskOf(p.remediation, p.act.rung) !== 'interrupts' || p.policy.maintenance.length === 0",
  ]),
  mutant('the very same is done again', GUARDS, 11, ['  if (same)\n', '  if (same && p.now < 0)\n']),
  mutant('one attempt too many', GUARDS, 12, ['if (counted.length >= limit)', 'if (counted.length > limit)']),
  mutant('nothing cools down', GUARDS, 40, ['minutes(p.settings.coolDownMinutes) * 2', '0 * 2']),
  mutant('cool-downs do not grow', GUARDS, 40, ['* 2 ** Math.max(0, before.length - 1)', '* 1']),
  mutant('the breaker never trips', STORM, 84, [
    '  if (count < breaker.atLeast) return undefined;',
    '  if (count >= 0) return undefined;',
  ]),
  mutant('the breaker forgets at once', GUARDS, 7, [
    'const open = breaker && p.now <',
    'const open = breaker && p.now < 0 && p.now <',
  ]),
  mutant('the cost cap is ignored', GUARDS, 1, ['return sum <= p.settings.costCapUsdPerMonth', 'return sum >= 0']),
  mutant('a pass counts as lost after five seconds', PASS, 494, [
    'export const PASS_LIMIT = minutes(3);',
    'export const PASS_LIMIT = seconds(5);',
  ]),
  mutant('a lost attempt counts as not done', PASS, 3, [
    "outcome: { kind: 'ambiguous', at: now, because: 'the pass that reserved",
    "outcome: { kind: 'transient', at: now, because: 'the pass that reserved",
  ]),
  mutant('a step may start any time after it was reserved', STEP, 31, [
    'export const ACT_WITHIN = seconds(30);',
    'export const ACT_WITHIN = minutes(30);',
  ]),
  mutant('what nobody answered was not done', STEP, 31, ["  return 'ambiguous';", "  return 'transient';"]),
  mutant('what AWS took has helped', REMEDIATION, 3, [
    'const healthy = isHealthy(seen, look);',
    "const healthy = isHealthy(seen, look) || attempts.at(-1)?.outcome?.kind === 'done';",
  ]),
  mutant('putting back is judged as a step', REMEDIATION, 174, [
    'last && hasRun(last)',
    'last && hasRun({ ...last, undoes: undefined })',
  ]),
  mutant('what was put back is put back again', UNDO, 5, [
    "a.undoes === n && a.outcome?.kind !== 'transient'",
    'a.undoes === n && n < 0',
  ]),
  mutant('what cannot be seen is gone', PASS, 1, [
    'if (e instanceof NotFound)\n    return conclude',
    'if (e instanceof StewardError)\n    return conclude',
  ]),
  mutant('a new incident is not named on its target', PASS, 1, [
    '  chart.open[incident.remediation] === incident.id\n    ? []',
    '  chart.open[incident.remediation] !== null\n    ? []',
  ]),
  mutant('a new incident that lost a race is forgotten', PASS, 40, [
    'if (!(e instanceof Conflict) || incident.version === 0) throw e;',
    'if (!(e instanceof Conflict)) throw e;',
  ]),
  mutant('nobody is told of a storm', PASS, 7, [
    "  const refusal = storm && (tells || isKnown || first.consequence !== 'wait') ? storm : first;",
    '  if (tells) await p.deps.store.write(...change).catch(onlyConflict);\n  const refusal = first;',
  ]),
  mutant('explaining acts', PASS, 23, [
    '  if (work.explain) return answer(p, incident, act, { guards });',
    '  if (work.explain && now < 0) return answer(p, incident, act, { guards });',
  ]),
  mutant('every repetition of a look looks again', PASS, 2, [
    'work.due !== undefined && current.dueAt !== work.due',
    'work.due !== undefined && work.due < 0',
  ]),
  mutant(
    'nobody looks again',
    HEAL,
    7,
    ['  if (!work.explain) await lookAgain(work, answer, deps);', ''],
    ['const lookAgain = async', 'export const lookAgain = async'],
  ),
  mutant('the sweep ignores what is due', SWEEP, 2, [
    'const due = await deps.store.due(now, DUE_LIMIT);',
    'const due = await deps.store.due(0, DUE_LIMIT);',
  ]),
];
