/** A gateway's answers: none with status 200 is empty, and failures have the numbers that clients know (spec "GlobalProtect", sections 2.2 and 8). */
import type { HttpResponse } from '../../http/message.ts';
import { renderXml, xmlElement } from '../../markup/xml.ts';
import { CLOSES, pageAnswer } from '../page-gateway.ts';

/** Spec 8.2: there is no lease, and clients may come again. */
export const NO_ADDRESS = 'Assign private IP address failed';

export function xml(body: string): HttpResponse {
  return pageAnswer(200, 'OK', 'application/xml; charset=UTF-8', body, [['Cache-Control', 'no-store']]);
}

/** What is for the client's interpreter (spec 2.2). */
export function script(body: string): HttpResponse {
  return pageAnswer(200, 'OK', 'text/html', body, [['Cache-Control', 'no-store']]);
}

export function failure(message: string): HttpResponse {
  return xml(renderXml(xmlElement('response', { status: 'error' }, [xmlElement('error', {}, [message])])));
}

export function success(): HttpResponse {
  return xml(renderXml(xmlElement('response', { status: 'success' }, [xmlElement('status', {}, ['success'])])));
}

/** Whether a host report is wanted. */
export function reportNeeded(isNeeded: boolean): HttpResponse {
  return xml(renderXml(xmlElement('response', {}, [xmlElement('hip-report-needed', {}, [isNeeded ? 'yes' : 'no'])])));
}

/** Whatever was wrong: clients put their first question again. */
export function loginRefused(): HttpResponse {
  return pageAnswer(512, 'Custom error', 'text/html', '<html><body>Authentication failure</body></html>\n', [
    ['x-private-pan-globalprotect', 'auth-failed'],
  ]);
}

export function certificateWanted(): HttpResponse {
  return pageAnswer(513, 'Custom error', 'text/html', '<html><body>Valid client certificate is required</body></html>\n');
}

/** No tunnel for this cookie. */
export function tunnelRefused(): HttpResponse {
  return pageAnswer(502, 'Bad Gateway', 'text/html', '<html><body>No session</body></html>\n', CLOSES);
}

/** What has secrets in it does not belong in a URL (spec 2.1). */
export function notByGet(): HttpResponse {
  return pageAnswer(405, 'Method Not Allowed', 'text/plain', 'POST only\n');
}
