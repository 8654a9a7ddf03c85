/** Where `ip netns` keeps the network namespaces that have names. */
const FOLDER = '/run/netns';

/** The file that stands for a namespace. */
export function networkNamespaceFile(name: string): string {
  return `${FOLDER}/${name}`;
}

export function noNetworkNamespace(name: string): string {
  return `There is no network namespace "${name}": "ip netns add ${name}" makes one.`;
}
