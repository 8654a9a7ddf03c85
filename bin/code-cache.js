/**
 * Loads the files of the bundle, and keeps what was compiled of them between runs, in ~/.cache/sallyport/code. NODE_DISABLE_COMPILE_CACHE=1 turns it off.
 *
 * Node's own cache (module.enableCompileCache) keeps what is compiled before a file runs. Most functions are compiled when they are first called, and so
 * in every run again: 45 of the 200 milliseconds that a client's main thread works until its tunnel is up. Here all that a run has called is kept.
 *
 * What is in that folder is executed, often as root: it is used only if it and all above it up to the home directory belong to this user and nobody
 * else may write there. The home directory is the system's word, not $HOME, which sudo may leave as the caller's.
 */
const fs = require('node:fs');
const { createRequire } = require('node:module');
const { userInfo } = require('node:os');
const path = require('node:path');
const { Script } = require('node:vm');

const WRITABLE_BY_OTHERS = 0o022;

const BUNDLE = path.resolve(__dirname, '../dist/bundle');

/** The comment that a file of the bundle begins with: the digest of the rest. Its kept code ends with the same, so that it is whole and the right one. */
const DIGEST_LENGTH = '//'.length + 64;

/** Code that has grown by less is not worth writing: each run calls some functions that another one does not. */
const WORTHWHILE_GROWTH = 1.05;

/** Of a file; there must be room for what a draft is called besides. */
const LONGEST_NAME = 200;

/** By path: the module, what it was compiled to, its digest, and the length of the kept code that was used; 0: none was. */
const loaded = new Map();

const folder = process.env.NODE_DISABLE_COMPILE_CACHE === '1' ? undefined : usableFolder();

/** Where code is kept; undefined if there is no place that is safe. */
exports.folder = folder;

/** Exports of a file of the bundle, by its name without `.cjs`. */
exports.load = (name) => load(path.join(BUNDLE, `${name}.cjs`));

/** Keeps the code of files of which none is kept yet. */
exports.keepNewCode = () => keep((file) => file.keptLength === 0);

/** Keeps all code that has become more: for a program that has just run what it mostly runs. Takes some 20 milliseconds. */
exports.keepWarmCode = () => keep(() => true);

function load(file) {
  const known = loaded.get(file);
  if (known !== undefined) return known.module.exports;
  const bytes = fs.readFileSync(file);
  const source = bytes.latin1Slice(0, bytes.length); // tools/bundle.ts writes ASCII, and the function around it; to let Node decode it takes twice as long
  const digest = source.slice(0, DIGEST_LENGTH);
  const cachedData = readKept(file, digest);
  const script = new Script(source, { filename: file, cachedData });
  const module = { exports: {} };
  loaded.set(file, { module, script, digest, keptLength: script.cachedDataRejected === false ? cachedData.length : 0 });
  const directory = path.dirname(file);
  const requireOther = createRequire(file);
  const require = (id) => (id.startsWith('./') ? load(path.join(directory, id)) : requireOther(id));
  script.runInThisContext()(module.exports, require, module, file, directory);
  return module.exports;
}

function readKept(file, digest) {
  if (folder === undefined) return undefined;
  try {
    const kept = fs.readFileSync(placeOf(file));
    const length = kept.length - DIGEST_LENGTH;
    return kept.latin1Slice(length) === digest ? kept.subarray(0, length) : undefined;
  } catch {
    return undefined; // There is none yet.
  }
}

/** @param isWanted said of a file whose code may be kept anew */
function keep(isWanted) {
  if (folder === undefined) return;
  for (const [name, file] of loaded) {
    if (!isWanted(file)) continue;
    const code = file.script.createCachedData();
    if (code.length <= file.keptLength * WORTHWHILE_GROWTH) continue;
    file.keptLength = code.length;
    writeKept(placeOf(name), Buffer.concat([code, Buffer.from(file.digest, 'latin1')]));
  }
}

/** As a whole, or not at all: others read it, and write it. */
function writeKept(place, bytes) {
  const { threadId } = require('node:worker_threads'); // not needed before, and not soon loaded
  const draft = `${place}.${process.pid}-${threadId}`;
  try {
    fs.writeFileSync(draft, bytes, { mode: 0o600, flag: 'wx', flush: true });
    fs.renameSync(draft, place);
  } catch {
    remove(draft); // No room, or no right to write any more: the next start is slower.
  }
}

function remove(draft) {
  try {
    fs.rmSync(draft, { force: true });
  } catch {
    // Who has given up its rights, as a gateway's worker has, may not look whether there is one, and has written none.
  }
}

/** One for each file and each Node: what another version has left there is of no use to anybody. */
function placeOf(file) {
  const name = `${file}-${process.version}-${process.arch}`.replaceAll(/[^\w.]+/g, '-');
  return path.join(folder, name.slice(-LONGEST_NAME));
}

function usableFolder() {
  try {
    let folder = userInfo().homedir;
    for (const name of ['.cache', 'sallyport', 'code']) {
      if (!isOursAlone(folder)) return undefined;
      folder = `${folder}/${name}`;
      if (!fs.existsSync(folder)) fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    }
    return isOursAlone(folder) ? folder : undefined;
  } catch {
    return undefined; // No home directory, a read-only one: it works without.
  }
}

function isOursAlone(folder) {
  const { uid, mode } = fs.lstatSync(folder);
  return (mode & 0o170000) === 0o040000 && uid === process.geteuid?.() && (mode & WRITABLE_BY_OTHERS) === 0;
}
