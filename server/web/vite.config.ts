//! How the pages are built into dist/, from where the server's build takes them. Beside them lies the stock client.

import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

const dist = fileURLToPath(new URL('dist', import.meta.url));
const stock = dirname(fileURLToPath(import.meta.resolve('socket.io-client/dist/socket.io.js')));

/** The files of the stock client every Socket.IO server offers; the one for MessagePack is of no use here. */
const CLIENT = ['socket.io.js', 'socket.io.min.js', 'socket.io.esm.min.js'].flatMap((name) => [name, `${name}.map`]);

/** Empties dist/ but for its .gitignore, adds the stock client, and compresses every file once and for all. */
function complete(): Plugin {
  return {
    name: 'complete',
    apply: 'build',
    buildStart() {
      for (const name of readdirSync(dist)) {
        if (name !== '.gitignore') rmSync(join(dist, name), { recursive: true });
      }
    },
    closeBundle() {
      mkdirSync(join(dist, 'client'));
      for (const name of CLIENT) cpSync(join(stock, name), join(dist, 'client', name));
      const files = readdirSync(dist, { recursive: true, withFileTypes: true });
      for (const file of files.filter((file) => file.isFile() && file.name !== '.gitignore')) {
        const path = join(file.parentPath, file.name);
        const bytes = readFileSync(path);
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
        writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }));
      }
    },
  };
}

/** Puts what all pages have in common where a page says `<!-- head -->` and `<!-- header -->`. */
function frame(): Plugin {
  const part = (name: string) => readFileSync(new URL(`frame/${name}.html`, import.meta.url), 'utf8').trim();
  return {
    name: 'frame',
    transformIndexHtml: {
      order: 'pre',
      handler(page, { filename }) {
        const name = basename(filename, '.html');
        const own = `<a href="/${name === 'index' ? '' : name}"`;
        const title = /<title>(.*)<\/title>/.exec(page)?.[1] ?? '';
        const header = part('header').replace('{{title}}', title).replace(own, `${own} aria-current="page"`);
        return page.replace('<!-- head -->', part('head')).replace('<!-- header -->', header);
      },
    },
  };
}

export default defineConfig({
  publicDir: false,
  plugins: [frame(), complete()],
  build: {
    outDir: dist,
    emptyOutDir: false,
    target: 'es2022',
    // The server's Content-Security-Policy lets nothing in that is written into a page.
    assetsInlineLimit: 0,
    modulePreload: false,
    rolldownOptions: {
      input: ['index.html', 'websocket-test.html', 'docs.html', 'plugins.html'],
      // The pages run on the very client that the server hands out to others.
      external: ['socket.io-client'],
      output: { paths: { 'socket.io-client': '/socket.io/socket.io.esm.min.js' } },
    },
  },
});
