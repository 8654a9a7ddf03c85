/**
 * A web site behind a gateway: the files of a folder, over https at 9443 and over http at 9080.
 * `proxy-inside-program.ts CERTIFICATE-FILE KEY-FILE FOLDER`
 */
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import path from 'node:path';

const [, , certificate = '', key = '', folder = ''] = process.argv;

const serveFile: RequestListener = (request, response) => {
  const { pathname } = new URL(request.url ?? '/', 'http://inside');
  const file = path.join(folder, path.posix.normalize(pathname === '/' ? '/index.html' : pathname));
  try {
    response.setHeader('Content-Type', file.endsWith('.html') ? 'text/html' : 'application/octet-stream').end(readFileSync(file));
  } catch {
    response.writeHead(404).end(); // git asks for files that need not be there
  }
};

createHttpServer(serveFile).listen(9080, '::', () => {
  createHttpsServer({ cert: readFileSync(certificate), key: readFileSync(key) }, serveFile).listen(9443, '::', () => {
    process.stdout.write('site\n');
  });
});
