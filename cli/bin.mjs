#!/usr/bin/env node
/** `steward`. Runs on Node 20 and later: an older Node than 24 starts the Node 24 that the package `node` brought. */
import { spawnSync } from 'node:child_process';
import module from 'node:module';
import process from 'node:process';

const NEEDED = 24;

if (Number(process.versions.node.split('.')[0]) >= NEEDED) {
  module.enableCompileCache?.();
  const { main } = await import('./main.ts');
  const { terminal } = await import('./terminal.ts');
  process.exitCode = await main(process.argv.slice(2), terminal());
} else {
  let newer;
  try {
    newer = module.createRequire(import.meta.url).resolve('node/bin/node');
  } catch {
    console.error(`steward: this is Node ${process.versions.node} and Node ${NEEDED} is not installed: run npm ci`);
    process.exit(1);
  }
  const { status, signal, error } = spawnSync(
    newer,
    [import.meta.filename ?? process.argv[1], ...process.argv.slice(2)],
    {
      stdio: 'inherit',
    },
  );
  if (error) console.error(`steward: ${newer} cannot be started: ${error.message}`);
  if (signal) process.kill(process.pid, signal);
  process.exitCode = status ?? 1;
}
