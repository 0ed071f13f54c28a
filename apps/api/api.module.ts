import { Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE } from '@nestjs/core';
import type { Database } from '../../store/db.js';
import type { Logger } from '../log.js';
import { DatasetsController } from './datasets.controller.js';
import { DeploymentController } from './deployment.controller.js';
import { ErasuresController } from './erasures.controller.js';
import { ExplainController } from './explain.controller.js';
import { FeastJobsController } from './feast-jobs.controller.js';
import { FeastMaterialize } from './feast-materialize.js';
import { FeastRegistry } from './feast-registry.js';
import { FeastController } from './feast.controller.js';
import { FeaturesController } from './features.controller.js';
import { HealthController } from './health.controller.js';
import { IdempotencyInterceptor } from './idempotency.interceptor.js';
import { LineageController } from './lineage.controller.js';
import { Metrics } from './metrics.js';
import { ModelsController } from './models.controller.js';
import { MonitoringController } from './monitoring.controller.js';
import { OnlineController } from './online.controller.js';
import { OnlineReader } from './online-reader.js';
import { ProblemFilter } from './problem.filter.js';
import { ProjectGuard } from './project.js';
import { ProjectsController } from './projects.controller.js';
import { QualityController } from './quality.controller.js';
import { RefreshController } from './refresh.controller.js';
import { ResourcesController } from './resources.controller.js';
import { SchemaPipe } from './schema.pipe.js';
import { SnapshotsController } from './snapshots.controller.js';
import { Streams } from './streams.js';
import { Temporal } from './temporal.js';
import { DATABASE, SETTINGS, type ApiSettings } from './tokens.js';
import { TrainingController } from './training.controller.js';
import { WorkflowsController } from './workflows.controller.js';

export interface ApiDependencies {
  readonly db: Database;
  readonly temporal: Temporal;
  readonly settings: ApiSettings;
  readonly log: Logger;
}

/** The whole API is one module: what it stands on is handed in, the rest is its controllers and the edges around them. */
@Module({})
export class ApiModule {
  static with({ db, temporal, settings, log }: ApiDependencies): DynamicModule {
    return {
      module: ApiModule,
      controllers: [
        ProjectsController,
        ResourcesController,
        FeaturesController,
        OnlineController,
        QualityController,
        SnapshotsController,
        ErasuresController,
        RefreshController,
        FeastController,
        FeastJobsController,
        ExplainController,
        DatasetsController,
        TrainingController,
        ModelsController,
        DeploymentController,
        MonitoringController,
        WorkflowsController,
        LineageController,
        HealthController,
      ],
      providers: [
        { provide: DATABASE, useValue: db },
        { provide: SETTINGS, useValue: settings },
        { provide: Temporal, useValue: temporal },
        Metrics,
        OnlineReader,
        Streams,
        FeastMaterialize,
        FeastRegistry,
        { provide: APP_GUARD, useClass: ProjectGuard },
        { provide: APP_INTERCEPTOR, useClass: IdempotencyInterceptor },
        { provide: APP_PIPE, useClass: SchemaPipe },
        { provide: APP_FILTER, useValue: new ProblemFilter(log) },
      ],
    };
  }
}
