/** The manual pages of the gateway's commands. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { OPTIONS as OCCTL_OPTIONS } from '../../src/cli/occtl/command-line.ts';
import { COMMANDS } from '../../src/cli/occtl/command-table.ts';
import { manPage as occtlPage } from '../../src/cli/occtl/man-page.ts';
import { OPTIONS as OCPASSWD_OPTIONS } from '../../src/cli/ocpasswd/command-line.ts';
import { manPage as ocpasswdPage } from '../../src/cli/ocpasswd/man-page.ts';
import { OCSERV_OPTIONS } from '../../src/cli/ocserv/help.ts';
import { manPage as ocservPage } from '../../src/cli/ocserv/man-page.ts';
import type { ManOption } from '../../src/cli/roff.ts';
import { KEY_GROUPS } from '../../src/gateway/config/ocserv-keys.ts';
import { missing } from '../support/requirements.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const MAN = path.join(ROOT, 'docs/man');

interface Page {
  readonly name: string;
  readonly text: string;
  readonly options: readonly ManOption[];
}

const PAGES: readonly Page[] = [
  { name: 'sallyport-occtl', text: occtlPage(), options: OCCTL_OPTIONS },
  { name: 'sallyport-ocpasswd', text: ocpasswdPage(), options: OCPASSWD_OPTIONS },
  { name: 'sallyport-ocserv', text: ocservPage(), options: OCSERV_OPTIONS },
];

const MACROS = new Set(['.B', '.BR', '.I', '.PP', '.RE', '.RI', '.RS', '.SH', '.SS', '.TH', '.TP', '.fi', '.nf']);

for (const { name, text, options } of PAGES) {
  describe(`the manual page of ${name}`, () => {
    it('is what the tables make: "node tools/man-pages.ts" writes it', () => {
      assert.equal(readFileSync(path.join(MAN, `${name}.8`), 'utf8'), text);
    });

    it('names every option', () => {
      const page = text.replaceAll('\\-', '-');
      for (const { name: option, short } of options) {
        assert.ok(page.includes(`\n${short === undefined ? '' : `\\fB-${short}\\fR, `}\\fB--${option}\\fR`), option);
      }
    });

    it('has no text that the formatter would take for a command', () => {
      for (const [macro] of text.matchAll(/^[.']\S*/gm)) assert.ok(MACROS.has(macro), macro);
    });

    it('is formatted without a warning', { skip: missing('man') }, () => {
      const words = ['--warnings', '--local-file', path.join(MAN, `${name}.8`)];
      // man writes warnings to standard error, and the page, which the test below has read, to standard output.
      const shown = execFileSync('sh', ['-c', 'exec man "$@" 2>&1 >/dev/null', 'sh', ...words], { encoding: 'utf8' });
      assert.equal(shown, '');
    });
  });
}

describe('manual pages', () => {
  it('have every key of ocserv.conf and every command of occtl', () => {
    const page = ocservPage().replaceAll('\\-', '-');
    for (const { name, aliases = [] } of KEY_GROUPS.flatMap(({ keys }) => keys)) {
      assert.ok(page.includes(`\n.B ${[name, ...aliases].join(', ')}\n`), name);
    }
    for (const { words } of COMMANDS.filter(({ isAlias }) => isAlias !== true)) assert.ok(occtlPage().includes(`\n.B ${words}`), words);
  });

  it('are all installed with the package', () => {
    const { man } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { man: string[] };
    assert.deepEqual(
      man.toSorted(),
      readdirSync(MAN)
        .map((file) => `docs/man/${file}`)
        .toSorted(),
    );
  });
});
