/** The oldest Node that Sallyport runs on: as in package.json. */
const WANTED = [22, 19];

/** Ends the process with one line if Node is too old. What runs until then is JavaScript that any Node understands. */
exports.requireNode = () => {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > WANTED[0] || (major === WANTED[0] && minor >= WANTED[1])) return;
  process.stderr.write(
    `Sallyport needs Node ${WANTED.join('.')} or newer, and this is Node ${process.versions.node}. Install a newer one, or run it by "npx" from a checkout.\n`,
  );
  process.exit(1);
};
