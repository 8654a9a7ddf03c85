/** The vendors, each loaded when it is first needed. */
import type { ProtocolId } from '../auth/protocol-id.ts';
import type { ClientProtocol, ProtocolSettings } from './client-protocol.ts';
import type { GatewayProtocol } from './gateway-protocol.ts';
import type { Recogniser } from './recogniser.ts';

interface Vendor {
  client(settings: ProtocolSettings): Promise<ClientProtocol>;
  gateway(): Promise<GatewayProtocol>;
  recogniser(): Promise<Recogniser>;
  /** Its gateway has a `DatagramFront`: hellos of strangers are worth an answer. */
  readonly greetsStrangers: boolean;
  /** Its gateway asks for a client certificate by itself where one is needed and TLS has brought none (`GatewayConnection.innerTls`). */
  readonly asksInside: boolean;
}

const VENDORS: Readonly<Record<ProtocolId, Vendor>> = {
  anyconnect: {
    client: async (settings) => new (await import('./anyconnect/client.ts')).AnyConnectClient(settings),
    gateway: async () => (await import('./anyconnect/gateway.ts')).anyconnectGateway,
    recogniser: async () => (await import('./anyconnect/recognition.ts')).anyconnectRecogniser,
    greetsStrangers: false,
    asksInside: false,
  },
  fortinet: {
    client: async (settings) => new (await import('./fortinet/client.ts')).FortinetClient(settings),
    gateway: async () => (await import('./fortinet/gateway.ts')).fortinetGateway,
    recogniser: async () => (await import('./fortinet/recognition.ts')).fortinetRecogniser,
    greetsStrangers: true,
    asksInside: false,
  },
  f5: {
    client: async (settings) => new (await import('./f5/client.ts')).F5Client(settings),
    gateway: async () => (await import('./f5/gateway.ts')).f5Gateway,
    recogniser: async () => (await import('./f5/recognition.ts')).f5Recogniser,
    greetsStrangers: true,
    asksInside: false,
  },
  gp: {
    client: async (settings) => new (await import('./gp/client.ts')).GpClient(settings),
    gateway: async () => (await import('./gp/gateway.ts')).gpGateway,
    recogniser: async () => (await import('./gp/recognition.ts')).gpRecogniser,
    greetsStrangers: false,
    asksInside: false,
  },
  nc: {
    client: async (settings) => new (await import('./nc/client.ts')).NcClient(settings),
    gateway: async () => (await import('./nc/gateway.ts')).ncGateway,
    recogniser: async () => (await import('./nc/recognition.ts')).ncRecogniser,
    greetsStrangers: false,
    asksInside: false,
  },
  array: {
    client: async (settings) => new (await import('./array/client.ts')).ArrayClient(settings),
    gateway: async () => (await import('./array/gateway.ts')).arrayGateway,
    recogniser: async () => (await import('./array/recognition.ts')).arrayRecogniser,
    greetsStrangers: true,
    asksInside: false,
  },
  pulse: {
    client: async (settings) => new (await import('./pulse/client.ts')).PulseClient(settings),
    gateway: async () => (await import('./pulse/gateway.ts')).pulseGateway,
    recogniser: async () => (await import('./pulse/recognition.ts')).pulseRecogniser,
    greetsStrangers: false,
    asksInside: true,
  },
};

export function loadClientProtocol(id: ProtocolId, settings: ProtocolSettings): Promise<ClientProtocol> {
  return VENDORS[id].client(settings);
}

export function loadGatewayProtocol(id: ProtocolId): Promise<GatewayProtocol> {
  return VENDORS[id].gateway();
}

export function loadRecogniser(id: ProtocolId): Promise<Recogniser> {
  return VENDORS[id].recogniser();
}

/** Whether clients of this vendor come by DTLS before anyone knows them. */
export function greetsStrangers(id: ProtocolId): boolean {
  return VENDORS[id].greetsStrangers;
}

/** Whether gateways of this vendor ask for client certificates inside of what its clients speak, too. */
export function asksInside(id: ProtocolId): boolean {
  return VENDORS[id].asksInside;
}
