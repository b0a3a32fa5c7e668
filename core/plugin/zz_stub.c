#include "plugin/inner.h"
void plugins_restore(struct plugins *plugins, struct loop_task *done) { plugins_when_loaded(plugins, done); }
void plugins_save(struct plugins *plugins, plugins_saved_fn *done, void *arg) { (void)plugins; done(arg, NULL); }
void plugins_drop_saved(struct plugins *plugins) { (void)plugins; }
void plugins_pause(struct plugins *plugins) { (void)plugins; }
void plugins_resume(struct plugins *plugins) { (void)plugins; }
