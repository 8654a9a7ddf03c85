/**
 * A gateway's log-in, in the pages of Network Connect.
 *
 * Read first: spec "Juniper NC", sections 3.3, 3.4, 3.6 and 12.
 */
import type { HttpResponse } from '../../http/message.ts';
import type { GatewayConnection, Visitor } from '../gateway-protocol.ts';
import { PagedLogin } from '../paged-login.ts';
import { admitted, page } from './gateway-answer.ts';
import { CODE_FORM, LOGIN_FORM, type PageField, REALM_FIELD, renderLoginPage } from './login-page.ts';
import { PATHS } from './paths.ts';

export function gatewayLogin(connection: GatewayConnection, visitor: Visitor): PagedLogin {
  return new PagedLogin(connection, visitor, {
    names: { username: 'username', password: 'password', group: REALM_FIELD, reply: 'token_code' },
    first: (fields, message) => form(LOGIN_FORM, [{ kind: 'hidden', name: 'tz_offset', value: '' }, ...fields], message),
    question: (fields, message) => form(CODE_FORM, fields, message),
    admitted: async (_request, cookie) => admitted(cookie, visitor.timeOfDay()),
  });
}

function form(id: string, fields: readonly PageField[], message: string | undefined): HttpResponse {
  return page(renderLoginPage({ kind: 'form', id, action: PATHS.login, fields, ...(message !== undefined && { message }) }));
}
