package org.leveret.door.tomcat;

/**
 * One deployment of one context in one Tomcat, as doors know it.
 *
 * @param service what several instances offer alike
 * @param instance this Tomcat; the same for all its contexts
 * @param boot random, of this start of the context: doors ignore a boot that has left
 */
record InstanceId(String service, String instance, long boot) {

    boolean isNamed(String service, String instance) {
        return this.service.equals(service) && this.instance.equals(instance);
    }

    @Override
    public String toString() {
        return service + "/" + instance;
    }
}
