/** Preloaded with --import: a machine without koffi, worker threads included. */
import { registerHooks } from 'node:module';

registerHooks({
  resolve(specifier, context, next) {
    if (specifier === 'koffi') throw new Error("Cannot find package 'koffi'");
    return next(specifier, context);
  },
});
