/** The parts of a request's target: its path, and single values of its query. */

/** The path of a request's target, without its query. */
export function pathOf(target: string): string {
  return target.replace(/\?.*$/s, '');
}

/** A parameter of the target's query, as it is written; undefined if it is not there. */
export function queryValue(target: string, name: string): string | undefined {
  const query = target.split('?').slice(1).join('?');
  return query
    .split('&')
    .find((part) => part.startsWith(`${name}=`))
    ?.slice(name.length + 1);
}
