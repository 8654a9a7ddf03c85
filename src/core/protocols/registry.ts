/** The vendors, each loaded when it is first needed. */
import type { ClientProtocol, ProtocolId, ProtocolSettings } from './client-protocol.ts';
import type { GatewayProtocol } from './gateway-protocol.ts';

export async function loadClientProtocol(id: ProtocolId, settings: ProtocolSettings): Promise<ClientProtocol> {
  switch (id) {
    case 'anyconnect': {
      const { AnyConnectClient } = await import('./anyconnect/client.ts');
      return new AnyConnectClient(settings);
    }
  }
}

export async function loadGatewayProtocol(id: ProtocolId): Promise<GatewayProtocol> {
  switch (id) {
    case 'anyconnect': {
      const { anyconnectGateway } = await import('./anyconnect/gateway.ts');
      return anyconnectGateway;
    }
  }
}
