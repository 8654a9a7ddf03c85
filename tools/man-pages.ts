/** Writes the manual pages that are made from tables of options: `node tools/man-pages.ts`. Tests fail when they are out of date. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { manPage as occtlPage } from '../src/cli/occtl/man-page.ts';
import { manPage as ocpasswdPage } from '../src/cli/ocpasswd/man-page.ts';
import { manPage as ocservPage } from '../src/cli/ocserv/man-page.ts';
import { manPage as openconnectPage } from '../src/cli/openconnect/man-page.ts';
import { manPage as sallyportPage } from '../src/cli/sallyport/man-page.ts';

const FOLDER = path.resolve(import.meta.dirname, '../docs/man');

const PAGES = {
  'sallyport.1': sallyportPage,
  'sallyport-occtl.8': occtlPage,
  'sallyport-ocpasswd.8': ocpasswdPage,
  'sallyport-ocserv.8': ocservPage,
  'sallyport-openconnect.1': openconnectPage,
};

mkdirSync(FOLDER, { recursive: true });
for (const [name, page] of Object.entries(PAGES)) writeFileSync(path.join(FOLDER, name), page());
