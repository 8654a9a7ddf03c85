/** HTTP/1.1 messages as values. Header names keep the capitalisation and order they are written with: some gateways are picky. */

export type HttpHeaders = readonly (readonly [name: string, value: string])[];

export interface HttpRequest {
  readonly method: string;
  /** The request target as written: a path, `host:port` or, for AnyConnect's tunnel, a path after CONNECT. */
  readonly target: string;
  readonly version: HttpVersion;
  readonly headers: HttpHeaders;
  readonly body: Uint8Array;
}

export interface HttpResponse {
  readonly version: HttpVersion;
  readonly status: number;
  readonly reason: string;
  readonly headers: HttpHeaders;
  readonly body: Uint8Array;
}

export type HttpVersion = '1.0' | '1.1';

/** The first value of a header, its name compared without case; undefined if it is not there. */
export function headerValue(headers: HttpHeaders, name: string): string | undefined {
  const wanted = name.toLowerCase();
  return headers.find(([key]) => key.toLowerCase() === wanted)?.[1];
}

/** All values of a header, its name compared without case, in the order they came. */
export function headerValues(headers: HttpHeaders, name: string): string[] {
  const wanted = name.toLowerCase();
  return headers.filter(([key]) => key.toLowerCase() === wanted).map(([, value]) => value);
}
