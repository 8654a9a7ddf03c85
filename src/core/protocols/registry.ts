/** The vendors, each loaded when it is first needed. */
import type { ClientProtocol, ProtocolId, ProtocolSettings } from './client-protocol.ts';

export async function loadClientProtocol(id: ProtocolId, settings: ProtocolSettings): Promise<ClientProtocol> {
  switch (id) {
    case 'anyconnect': {
      const { AnyConnectClient } = await import('./anyconnect/client.ts');
      return new AnyConnectClient(settings);
    }
  }
}
