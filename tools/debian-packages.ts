/** Debian's packages, as the set-up of the tests installs them: named with their purpose, and only those that are not there. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Names of packages, each with what it is for. */
export type Packages = Readonly<Record<string, string>>;

/** Why this machine cannot have packages installed; undefined if it can. */
export function cannotInstall(): string | undefined {
  if (process.platform !== 'linux' || !existsSync('/etc/debian_version')) return 'this is not Debian Linux';
  return process.getuid?.() === 0 ? undefined : 'this user is not root';
}

/** Installs what is absent, saying what for. `purpose` ends the first line: `Installing, for the tests:`. */
export function installPackages(packages: Packages, purpose: string): void {
  const absent = Object.entries(packages).filter(([name]) => !isInstalled(name));
  if (absent.length === 0) return;
  console.log(`Installing, for ${purpose}:`);
  for (const [name, use] of absent) console.log(`  ${name}: ${use}`);
  const options = { stdio: 'inherit' as const, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  execFileSync('apt-get', ['update', '-q'], options);
  execFileSync('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...absent.map(([name]) => name)], options);
}

function isInstalled(name: string): boolean {
  try {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format.
    const status = execFileSync('dpkg-query', ['-W', '-f', '${Status}', name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return status.includes('install ok installed');
  } catch {
    return false; // dpkg does not know it
  }
}
