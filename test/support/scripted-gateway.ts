/** The exchanges of a log-in's script played over real TLS, to any client: a fake gateway for each server that the script names. */
import assert from 'node:assert/strict';
import { type HttpResponse, headerValue } from '../../src/core/http/message.ts';
import { fromUtf8, utf8 } from '../../src/core/wire/text.ts';
import { type FakeGateway, type FakeGatewayOptions, type GatewayRequest, startFakeGateway } from './fake-gateway.ts';
import { assertRequest, type Exchange, type Step } from './login-script.ts';

/** Where a script's `vpn.example` and `other.example` are on this machine. */
export interface ScriptedGateways extends AsyncDisposable {
  readonly vpn: FakeGateway;
  readonly other: FakeGateway;
  /** Throws the first AssertionError of a request, or one if the script is not over. */
  assertFinished(): void;
}

/**
 * Plays what {@link Step}s exchange. A request that is not as expected ends its connection; {@link ScriptedGateways.assertFinished} shows the
 * difference.
 */
export async function startScriptedGateways(steps: readonly Step[], options: FakeGatewayOptions = {}): Promise<ScriptedGateways> {
  const exchanges = steps.filter((step): step is Exchange => step.kind === 'exchange');
  const lastConnections = new Map<FakeGateway, number>();
  let at = 0;
  const answer = (request: GatewayRequest, gateway: FakeGateway) => {
    const number = at++;
    const step = exchanges[number];
    assert.ok(step !== undefined, `the script is over, but there came ${request.method} ${request.target}`);
    const { method, target, headers, body, connection } = request;
    const isFresh = lastConnections.get(gateway) !== connection;
    lastConnections.set(gateway, connection);
    const seen = { method, host: headerValue(headers, 'Host') ?? '', path: target, headers, body, isFresh };
    assertRequest(seen, step.request, number, (text) =>
      text.replaceAll(vpn.authority, 'vpn.example').replaceAll(other.authority, 'other.example'),
    );
    return { response: withPlaces(step.response) };
  };
  const withPlaces = (response: HttpResponse): HttpResponse => {
    const placed = (text: string) => text.replaceAll('vpn.example', vpn.authority).replaceAll('other.example', other.authority);
    const text = placed(fromUtf8(response.body));
    const body = text === fromUtf8(response.body) ? response.body : utf8(text);
    const headers = response.headers.map(
      ([name, value]) => [name, name === 'Content-Length' ? String(body.length) : placed(value)] as const,
    );
    return { ...response, headers, body };
  };
  const vpn: FakeGateway = await startFakeGateway((request) => answer(request, vpn), options);
  const other: FakeGateway = await startFakeGateway((request) => answer(request, other), { ...options, certificate: vpn.certificate });
  return {
    vpn,
    other,
    assertFinished: () => {
      for (const { failure } of [vpn, other]) if (failure !== undefined) throw failure;
      assert.equal(at, exchanges.length, `the script was left at step ${at} of ${exchanges.length}`);
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.allSettled([vpn[Symbol.asyncDispose](), other[Symbol.asyncDispose]()]); // assertFinished() has said what failed
    },
  };
}
