/* The backend that takes samples: not a callback anywhere, but a thread (sampler.h). */
#include "recorder/sampler.h"

#include "recorder/backend/backend.h"

const struct backend backend_sampler = {"sampler",      sampler_attach, sampler_suspend,
                                        sampler_resume, sampler_stop,   sampler_restart,
                                        sampler_detach};
