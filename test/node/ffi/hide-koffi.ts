/** Preloaded with --import: a machine without koffi, worker threads included. */
import { registerHooks } from 'node:module';

registerHooks({
  resolve(specifier, context, next) {
    if (/^(?:koffi$|@koromix\/koffi-)/.test(specifier)) throw new Error("Cannot find package 'koffi'");
    return next(specifier, context);
  },
});
