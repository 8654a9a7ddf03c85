/** A network configurator on a fake machine, with its journals in a folder of the test's own. */
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { NetworkConfigurator } from '../../../src/node/network/configurator.ts';
import type { FakeMachine } from './fake-machine.ts';
import { GATEWAY } from './samples.ts';

const root = mkdtempSync(path.join(tmpdir(), 'sallyport-configurator-'));
after(() => rmSync(root, { recursive: true }));

/** Where the journals are: a folder for each test and for each run of a property. */
export let directory = path.join(root, '0');
let folders = 0;
export function freshDirectory(): void {
  directory = path.join(root, String(++folders));
}

export function configurator(machine: FakeMachine): NetworkConfigurator {
  return new NetworkConfigurator({ device: 'tun0', gateway: GATEWAY, directory, machine });
}

export function journals(): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

/** Makes the journals look like those of a process that is gone, which ours is not. */
export function abandonJournals(): void {
  for (const file of journals())
    renameSync(path.join(directory, file), path.join(directory, file.replace(/\.\d+-\d+\.jsonl$/, '.999999999-1.jsonl')));
}
