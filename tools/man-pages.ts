/** Writes the manual pages that are made from tables of options: `node tools/man-pages.ts`. Tests fail when they are out of date. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { manPage as openconnectPage } from '../src/cli/openconnect/man-page.ts';
import { manPage as sallyportPage } from '../src/cli/sallyport/man-page.ts';

const FOLDER = path.resolve(import.meta.dirname, '../docs/man');

mkdirSync(FOLDER, { recursive: true });
writeFileSync(path.join(FOLDER, 'sallyport-openconnect.1'), openconnectPage());
writeFileSync(path.join(FOLDER, 'sallyport.1'), sallyportPage());
