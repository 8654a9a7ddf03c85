import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { failToLogIn, logIn } from '../../../support/anyconnect-login.ts';
import { LOGIN_FLOWS } from '../../../support/login-flows/all.ts';

for (const [subject, flows] of Object.entries(LOGIN_FLOWS)) {
  describe(`AnyConnect log-in: ${subject}`, () => {
    for (const flow of flows) {
      it(flow.name, async () => {
        const options = {
          server: `vpn.example${flow.path ?? ''}`,
          login: { usesXml: flow.usesXml ?? true },
          io: { hasClientCertificate: flow.hasClientCertificate ?? false },
        };
        if (flow.failure !== undefined) {
          await failToLogIn(flow.steps, { message: flow.failure }, options);
          return;
        }
        const { credential } = await logIn(flow.steps, options);
        assert.equal(credential.cookie.reveal(), `webvpn=${flow.session ?? 'SESSION'}`);
      });
    }
  });
}
